#!/usr/bin/env bash
# keylift plan 1242ca20c35f81a2, as commands of az: review them, sign in with az login, run them with bash.
# keylift apply does more: it compares each resource with what the plan saw, and can take every step back.
# Values pass through this shell from Azure to Azure; no argument of a program and no file holds one.
set -euo pipefail
export AZURE_CORE_OUTPUT=none AZURE_CORE_ONLY_SHOW_ERRORS=yes

# again COMMAND...: until it works; a new role takes up to a quarter of an hour to be honoured.
again() {
  local try
  for try in $(seq 1 "${TRIES:-40}"); do
    if "$@"; then return 0; fi
    echo "not yet (try $try): $2 $3 $4" >&2
    sleep "${PAUSE:-30}"
  done
  return 1
}

# ask COMMAND...: what it prints becomes $value, to the letter: the shell drops line breaks at the end, so something follows.
ask() {
  value=$("$@" --output tsv && printf .)
  value=${value%.}
  value=${value%$'\n'}
}

# put VAULT NAME TAG...: $value becomes a secret of the vault; there is none where the app was switched before.
put() {
  local vault=$1 name=$2
  shift 2
  if [ -n "$value" ]; then
    printf %s "$value" |
      az keyvault secret set --vault-name "$vault" --name "$name" --file /dev/stdin --encoding utf-8 --tags "$@"
  elif ! az keyvault secret show --vault-name "$vault" --name "$name"; then
    echo "$name: its value is not where the plan saw it: make a new plan" >&2
    return 1
  fi
  value=
}

# proven APP...: wait until the latest revision runs; $running says whether it does.
proven() {
  local revision state try
  running=no
  revision=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  for try in $(seq 1 "${TRIES:-40}"); do
    state=$(az containerapp revision show "$@" --revision "$revision" --query properties.runningState --output tsv)
    case $state in
      Running | RunningAtMaxScale) running=yes; return 0 ;;
      ScaledToZero) echo "$revision is scaled to zero: nothing shows yet that it starts" >&2; return 0 ;;
      Failed | Degraded | Stopped) break ;;
    esac
    sleep "${PAUSE:-15}"
  done
  echo "$revision does not run ($state): az containerapp logs show $*" >&2
  return 1
}

# weight_of QUERY APP...: the traffic of one entry; nothing where there is none.
weight_of() {
  local query=$1
  shift
  az containerapp ingress traffic show "$@" --query "$query.weight | [0]" --output tsv
}

# hold APP...: traffic that follows the latest revision stays on the one that is the latest now.
hold() {
  local weight revision
  weight=$(weight_of '[?latestRevision]' "$@")
  if [ "${weight:-0}" = 0 ]; then return 0; fi # held before
  revision=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  if [ -n "$(weight_of "[?revisionName=='$revision']" "$@")" ]; then
    echo "traffic names $revision and follows the latest revision, too: keylift apply can keep such a split" >&2
    return 1
  fi
  az containerapp ingress traffic set "$@" --revision-weight latest=0 "$revision=$weight"
}

# release APP...: the latest revision takes the traffic that was held.
release() {
  local held revision weight
  if [ "$(weight_of '[?latestRevision]' "$@")" != 0 ]; then return 0; fi # released before
  held=$(az containerapp ingress traffic show "$@" --query '[?revisionName && weight > `0`].[revisionName, weight]' --output tsv)
  if [ "$running" = no ] || [ "$(wc -l <<<"$held")" != 1 ]; then
    echo "traffic stays where it is; when the new revision is proven: az containerapp ingress traffic set $*" >&2
    return 0
  fi
  IFS=$'	' read -r revision weight <<<"$held"
  az containerapp ingress traffic set "$@" --revision-weight "$revision=0" "latest=$weight"
}

# shift_from REVISION APP...: the latest revision takes the traffic of one that is named.
shift_from() {
  local old=$1 new weight
  shift
  weight=$(weight_of "[?revisionName=='$old']" "$@")
  if [ "${weight:-0}" = 0 ]; then return 0; fi # shifted before
  if [ "$running" = no ]; then
    echo "traffic stays on $old; when the new revision is proven: az containerapp ingress traffic set $*" >&2
    return 0
  fi
  new=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  az containerapp ingress traffic set "$@" --revision-weight "$old=0" "$new=$weight"
}


# shared-token: the value that orders has
ask az containerapp show --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query "properties.template.containers[?name=='main'].env[] | [?name=='TOKEN'].value | [0]"
put kv-shop shared-token keylift=1 keylift-app=orders,web keylift-name=TOKEN,api-token keylift-place-1=rg-shop/orders/env/main/TOKEN keylift-place-2=rg-shop/web/secret/api-token

# orders-acr-password: the value that orders has
ask az containerapp secret show --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secret-name acr-password --query value
put kv-shop orders-acr-password keylift=1 keylift-app=orders keylift-name=acr-password keylift-place-1=rg-shop/orders/secret/acr-password

# identity id-orders
az identity create --name id-orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --location westeurope --tags keylift=/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.app/containerapps/orders

# orders may use it: no revision, no restart
az containerapp identity assign --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --user-assigned /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders

# id-orders: Key Vault Secrets User at orders-acr-password
principal=$(az identity show --name id-orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query principalId --output tsv)
az role assignment create --role 4633458b-17de-408a-b874-0445c86b69e6 --scope /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/orders-acr-password --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal

# id-orders: Key Vault Secrets User at orders-db-password
principal=$(az identity show --name id-orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query principalId --output tsv)
az role assignment create --role 4633458b-17de-408a-b874-0445c86b69e6 --scope /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/orders-db-password --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal

# id-orders: Key Vault Secrets User at shared-token
principal=$(az identity show --name id-orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query principalId --output tsv)
az role assignment create --role 4633458b-17de-408a-b874-0445c86b69e6 --scope /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/shared-token --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal

# id-orders: AcrPull at acrshop
principal=$(az identity show --name id-orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query principalId --output tsv)
az role assignment create --role 7f951dda-4ed3-4680-a7ca-43fe172d538d --scope /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ContainerRegistry/registries/acrshop --assignee-object-id "$principal" --assignee-principal-type ServicePrincipal

# orders: references instead of values
hold --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111
again az containerapp secret set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secrets acr-password=keyvaultref:https://kv-shop.vault.azure.net/secrets/orders-acr-password,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders db-password=keyvaultref:https://kv-shop.vault.azure.net/secrets/orders-db-password,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders token=keyvaultref:https://kv-shop.vault.azure.net/secrets/shared-token,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders
again az containerapp registry set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --server acrshop.azurecr.io --identity /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders
az containerapp update --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --container-name main --set-env-vars DB_PASSWORD=secretref:db-password TOKEN=secretref:token
proven --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111
release --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111

# web: references instead of values
again az containerapp secret set --name web --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secrets api-token=keyvaultref:https://kv-shop.vault.azure.net/secrets/shared-token,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a
