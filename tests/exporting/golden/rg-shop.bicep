// What keylift plan 1242ca20c35f81a2 makes in resource group rg-shop:
//   az deployment group create --subscription 11111111-1111-4111-8111-111111111111 --resource-group rg-shop --template-file FILE

@description('False where keylift apply made the assignments: one that is there by another name is refused (RoleAssignmentExists).')
param assignRoles bool = true

resource id_orders 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: 'id-orders'
  location: 'westeurope'
  tags: {
    keylift: '/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.app/containerapps/orders'
  }
}

resource kv_shop 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: 'kv-shop'
}

resource orders_acr_password 'Microsoft.KeyVault/vaults/secrets@2023-07-01' existing = {
  parent: kv_shop
  name: 'orders-acr-password'
}

// Key Vault Secrets User
resource id_orders_reads_orders_acr_password 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (assignRoles) {
  name: guid(orders_acr_password.id, id_orders.id, '4633458b-17de-408a-b874-0445c86b69e6')
  scope: orders_acr_password
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
    principalId: id_orders.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource orders_db_password 'Microsoft.KeyVault/vaults/secrets@2023-07-01' existing = {
  parent: kv_shop
  name: 'orders-db-password'
}

// Key Vault Secrets User
resource id_orders_reads_orders_db_password 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (assignRoles) {
  name: guid(orders_db_password.id, id_orders.id, '4633458b-17de-408a-b874-0445c86b69e6')
  scope: orders_db_password
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
    principalId: id_orders.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource shared_token 'Microsoft.KeyVault/vaults/secrets@2023-07-01' existing = {
  parent: kv_shop
  name: 'shared-token'
}

// Key Vault Secrets User
resource id_orders_reads_shared_token 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (assignRoles) {
  name: guid(shared_token.id, id_orders.id, '4633458b-17de-408a-b874-0445c86b69e6')
  scope: shared_token
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '4633458b-17de-408a-b874-0445c86b69e6')
    principalId: id_orders.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

resource acrshop 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: 'acrshop'
}

// AcrPull
resource id_orders_reads_acrshop 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (assignRoles) {
  name: guid(acrshop.id, id_orders.id, '7f951dda-4ed3-4680-a7ca-43fe172d538d')
  scope: acrshop
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '7f951dda-4ed3-4680-a7ca-43fe172d538d')
    principalId: id_orders.properties.principalId
    principalType: 'ServicePrincipal'
  }
}

// container app orders: merge into the resource that declares it, entry by entry, by name
var orders = {
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders': {}
    }
  }
  properties: {
    configuration: {
      secrets: [
        {
          name: 'acr-password'
          keyVaultUrl: 'https://kv-shop.vault.azure.net/secrets/orders-acr-password'
          identity: '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders'
        }
        {
          name: 'db-password'
          keyVaultUrl: 'https://kv-shop.vault.azure.net/secrets/orders-db-password'
          identity: '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders'
        }
        {
          name: 'token'
          keyVaultUrl: 'https://kv-shop.vault.azure.net/secrets/shared-token'
          identity: '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders'
        }
      ]
      registries: [
        {
          server: 'acrshop.azurecr.io'
          identity: '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders'
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'main'
          env: [
            {
              name: 'DB_PASSWORD'
              secretRef: 'db-password'
            }
            {
              name: 'TOKEN'
              secretRef: 'token'
            }
          ]
        }
      ]
    }
  }
}

// container app web: merge into the resource that declares it, entry by entry, by name
var web = {
  properties: {
    configuration: {
      secrets: [
        {
          name: 'api-token'
          keyVaultUrl: 'https://kv-shop.vault.azure.net/secrets/shared-token'
          identity: '/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/a'
        }
      ]
    }
  }
}
