#!/usr/bin/env bash
# keylift plan 944bc01d17ea4f5f, as commands of az: review them, sign in with az login, run them with bash.
# keylift apply does more: it compares each resource with what the plan saw, and can take every step back.
# Values pass through this shell from Azure to Azure; no argument and no file holds one. A line break at the very end of a
# value is lost, as the shell drops it.
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

# put VAULT NAME VALUE TAG...: the value becomes a secret of the vault; none is left where the app was switched before.
put() {
  local vault=$1 name=$2 value=$3
  shift 3
  if [ -n "$value" ]; then
    printf %s "$value" |
      az keyvault secret set --vault-name "$vault" --name "$name" --file /dev/stdin --encoding utf-8 --tags "$@"
  elif ! az keyvault secret show --vault-name "$vault" --name "$name"; then
    echo "$name: its value is not where the plan saw it: make a new plan" >&2
    return 1
  fi
}

# proven APP...: wait until the latest revision runs.
proven() {
  local revision state try
  revision=$(az containerapp show "$@" --query properties.latestRevisionName --output tsv)
  for try in $(seq 1 "${TRIES:-40}"); do
    state=$(az containerapp revision show "$@" --revision "$revision" --query properties.runningState --output tsv)
    case $state in
      Running | RunningAtMaxScale) return 0 ;;
      ScaledToZero) echo "$revision is scaled to zero: unproven until something calls it" >&2; return 0 ;;
      Failed | Degraded | Stopped) break ;;
    esac
    sleep "${PAUSE:-15}"
  done
  echo "$revision does not run ($state): az containerapp logs show $*" >&2
  return 1
}


# shared-token: the value that orders has
value=$(az containerapp show --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query "properties.template.containers[?name=='main'].env[] | [?name=='TOKEN'].value | [0]" --output tsv)
put kv-shop shared-token "$value" keylift=1 keylift-app=orders,web keylift-name=TOKEN,api-token keylift-place-1=rg-shop/orders/env/main/TOKEN keylift-place-2=rg-shop/web/secret/api-token
unset value

# orders-acr-password: the value that orders has
value=$(az containerapp secret show --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secret-name acr-password --query value --output tsv)
put kv-shop orders-acr-password "$value" keylift=1 keylift-app=orders keylift-name=acr-password keylift-place-1=rg-shop/orders/secret/acr-password
unset value

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
# traffic stays on the revision that serves now, until the new one is proven
latest=$(az containerapp ingress traffic show --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --query '[?latestRevision].weight | [0]' --output tsv)
az containerapp ingress traffic set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --revision-weight "latest=0" ''"=$latest"
again az containerapp secret set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secrets acr-password=keyvaultref:https://kv-shop.vault.azure.net/secrets/orders-acr-password,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders db-password=keyvaultref:https://kv-shop.vault.azure.net/secrets/orders-db-password,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders token=keyvaultref:https://kv-shop.vault.azure.net/secrets/shared-token,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders
again az containerapp registry set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --server acrshop.azurecr.io --identity /subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders
az containerapp update --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --container-name main --set-env-vars DB_PASSWORD=secretref:db-password TOKEN=secretref:token
proven --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111
az containerapp ingress traffic set --name orders --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --revision-weight ''=0 "latest=$latest"

# web: references instead of values
again az containerapp secret set --name web --resource-group rg-shop --subscription 11111111-1111-4111-8111-111111111111 --secrets api-token=keyvaultref:https://kv-shop.vault.azure.net/secrets/shared-token,identityref:/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a
