# What keylift plan 1242ca20c35f81a2 makes.
# The provider without an alias is that of subscription 11111111-1111-4111-8111-111111111111.

resource "azurerm_user_assigned_identity" "id_orders" {
  name = "id-orders"
  resource_group_name = "rg-shop"
  location = "westeurope"
  tags = {
    "keylift" = "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.app/containerapps/orders"
  }
}

data "azurerm_user_assigned_identity" "a" {
  name = "a"
  resource_group_name = "rg-shop"
}

# Key Vault Secrets User
resource "azurerm_role_assignment" "id_orders_reads_orders_acr_password" {
  name = uuidv5("url", "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.keyvault/vaults/kv-shop/secrets/orders-acr-password|${azurerm_user_assigned_identity.id_orders.principal_id}|4633458b-17de-408a-b874-0445c86b69e6")
  scope = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/orders-acr-password"
  role_definition_id = "/subscriptions/11111111-1111-4111-8111-111111111111/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"
  principal_id = azurerm_user_assigned_identity.id_orders.principal_id
  principal_type = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# Key Vault Secrets User
resource "azurerm_role_assignment" "id_orders_reads_orders_db_password" {
  name = uuidv5("url", "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.keyvault/vaults/kv-shop/secrets/orders-db-password|${azurerm_user_assigned_identity.id_orders.principal_id}|4633458b-17de-408a-b874-0445c86b69e6")
  scope = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/orders-db-password"
  role_definition_id = "/subscriptions/11111111-1111-4111-8111-111111111111/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"
  principal_id = azurerm_user_assigned_identity.id_orders.principal_id
  principal_type = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# Key Vault Secrets User
resource "azurerm_role_assignment" "id_orders_reads_shared_token" {
  name = uuidv5("url", "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.keyvault/vaults/kv-shop/secrets/shared-token|${azurerm_user_assigned_identity.id_orders.principal_id}|4633458b-17de-408a-b874-0445c86b69e6")
  scope = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.KeyVault/vaults/kv-shop/secrets/shared-token"
  role_definition_id = "/subscriptions/11111111-1111-4111-8111-111111111111/providers/Microsoft.Authorization/roleDefinitions/4633458b-17de-408a-b874-0445c86b69e6"
  principal_id = azurerm_user_assigned_identity.id_orders.principal_id
  principal_type = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# AcrPull
resource "azurerm_role_assignment" "id_orders_reads_acrshop" {
  name = uuidv5("url", "/subscriptions/11111111-1111-4111-8111-111111111111/resourcegroups/rg-shop/providers/microsoft.containerregistry/registries/acrshop|${azurerm_user_assigned_identity.id_orders.principal_id}|7f951dda-4ed3-4680-a7ca-43fe172d538d")
  scope = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ContainerRegistry/registries/acrshop"
  role_definition_id = "/subscriptions/11111111-1111-4111-8111-111111111111/providers/Microsoft.Authorization/roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
  principal_id = azurerm_user_assigned_identity.id_orders.principal_id
  principal_type = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# Where keylift apply carried the plan out, these bring into the state what it made; else take them away.
import {
  to = azurerm_user_assigned_identity.id_orders
  id = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/rg-shop/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-orders"
}

# Change in the resource that declares orders; what it has besides stays:
#
# resource "azurerm_container_app" "orders" {
#   identity {
#     type = "UserAssigned"
#     identity_ids = [azurerm_user_assigned_identity.id_orders.id]
#   }
#   secret {
#     name = "acr-password"
#     key_vault_secret_id = "https://kv-shop.vault.azure.net/secrets/orders-acr-password"
#     identity = azurerm_user_assigned_identity.id_orders.id
#   }
#   secret {
#     name = "db-password"
#     key_vault_secret_id = "https://kv-shop.vault.azure.net/secrets/orders-db-password"
#     identity = azurerm_user_assigned_identity.id_orders.id
#   }
#   secret {
#     name = "token"
#     key_vault_secret_id = "https://kv-shop.vault.azure.net/secrets/shared-token"
#     identity = azurerm_user_assigned_identity.id_orders.id
#   }
#   registry {
#     server = "acrshop.azurecr.io"
#     identity = azurerm_user_assigned_identity.id_orders.id
#   }
#   template {
#     container {
#       name = "main"
#       env {
#         name = "DB_PASSWORD"
#         secret_name = "db-password"
#       }
#       env {
#         name = "TOKEN"
#         secret_name = "token"
#       }
#     }
#   }
# }

# Change in the resource that declares web; what it has besides stays:
#
# resource "azurerm_container_app" "web" {
#   secret {
#     name = "api-token"
#     key_vault_secret_id = "https://kv-shop.vault.azure.net/secrets/shared-token"
#     identity = data.azurerm_user_assigned_identity.a.id
#   }
# }
