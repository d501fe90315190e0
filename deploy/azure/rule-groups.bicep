// Rules and alerts for Azure Managed Prometheus. The groups are those of rule-groups.json, an ARM template that
// does the same without Bicep.

@description('The resource ID of the Azure Monitor workspace.')
param azureMonitorWorkspaceId string

@description('The cluster, as the label `cluster` has it.')
param clusterName string

@description('Where the rule groups are kept: the location of the workspace.')
param location string = resourceGroup().location

var groups = loadJsonContent('rule-groups.json', '$.variables.groups')

resource ruleGroups 'Microsoft.AlertsManagement/prometheusRuleGroups@2023-03-01' = [for group in groups: {
  name: '${group.name}-${clusterName}'
  location: location
  properties: {
    scopes: [azureMonitorWorkspaceId]
    clusterName: clusterName
    enabled: true
    interval: 'PT1M'
    rules: group.rules
  }
}]
