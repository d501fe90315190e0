{{- define "regprobe.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "regprobe.fullname" -}}
{{- $name := include "regprobe.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "regprobe.selectorLabels" -}}
app.kubernetes.io/name: {{ include "regprobe.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "regprobe.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{- /* The labels of an object: a list of the root and of the values that add labels, the widest first. Each key
appears once, and the labels of the selector always win. */}}
{{- define "regprobe.labels" -}}
{{- $root := first . }}
{{- $labels := dict
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63)
}}
{{- range prepend (rest .) $root.Values.commonLabels }}
{{- $labels = mergeOverwrite $labels (. | default dict) }}
{{- end }}
{{- mergeOverwrite $labels (include "regprobe.selectorLabels" $root | fromYaml) | toYaml }}
{{- end }}

{{- define "regprobe.serviceAccountName" -}}
{{- $own := ternary (include "regprobe.fullname" .) "default" .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}

{{- define "regprobe.imageRegistry" -}}
{{- (.Values.global).imageRegistry | default .Values.image.registry | default "" }}
{{- end }}

{{- define "regprobe.image" -}}
{{- with .Values.image }}
{{- with include "regprobe.imageRegistry" $ }}{{ . }}/{{ end }}
{{- .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The chart's own pull secrets and those of a parent chart, which also writes them as plain names. */}}
{{- define "regprobe.imagePullSecrets" -}}
{{- $secrets := list }}
{{- range concat (.Values.imagePullSecrets | default list) ((.Values.global).imagePullSecrets | default list) }}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) }}
{{- end }}
{{- with $secrets }}
imagePullSecrets:
  {{- uniq . | toYaml | nindent 2 }}
{{- end }}
{{- end }}

{{- /* The volume name for a node directory. */}}
{{- define "regprobe.volumeName" -}}
{{- printf "host%s" (regexReplaceAll "[^a-z0-9]+" (lower .) "-") | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* config.yaml: the values, plus settings that only the chart knows. */}}
{{- define "regprobe.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $node := dict "root" "/host" }}
{{- $_ := set $config "node" (merge ($config.node | default dict) $node) }}
{{- $fleet := $config.fleet | default dict }}
{{- if not $fleet.service }}
{{- /* Without namespace: the agent knows its own. */}}
{{- $_ := set $fleet "service" (include "regprobe.fullname" .) }}
{{- end }}
{{- if and (not $fleet.port) (ne (int64 .Values.web.port) 9118) }}
{{- $_ := set $fleet "port" (int64 .Values.web.port) }}
{{- end }}
{{- $_ := set $config "fleet" $fleet }}
{{- toYaml $config }}
{{- end }}

{{- /* The variables of the proxy settings. */}}
{{- define "regprobe.proxies" -}}
{{- with .Values.proxy }}
{{- dict "HTTPS_PROXY" .httpsProxy "HTTP_PROXY" .httpProxy "NO_PROXY" .noProxy | toYaml }}
{{- end }}
{{- end }}

{{- define "regprobe.configMap" -}}
{{- .Values.existingConfigMap | default (include "regprobe.fullname" .) }}
{{- end }}

{{- /* The name of the Secret with web.yaml; empty if the listener has no such file. */}}
{{- define "regprobe.webSecret" -}}
{{- with .Values.web }}
{{- if .config }}
{{- printf "%s-web" (include "regprobe.fullname" $) }}
{{- else }}
{{- .existingSecret }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A probe of kubelet: a list of the root, the path and the value of the probe. */}}
{{- define "regprobe.probe" -}}
{{- $web := (first .).Values.web }}
httpGet:
  path: {{ index . 1 }}
  port: metrics
  {{- if eq $web.scheme "HTTPS" }}
  scheme: HTTPS
  {{- end }}
  {{- if not (has $web.address (list "" nil "0.0.0.0" "::")) }}
  host: {{ $web.address | quote }}
  {{- end }}
{{- with last . }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The scrape settings of both monitors. */}}
{{- define "regprobe.endpoint" -}}
port: {{ .port | default "metrics" }}
path: /metrics
{{- with .scheme }}
scheme: {{ . }}
{{- end }}
{{- with .tlsConfig }}
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .basicAuth }}
basicAuth:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
relabelings:
  # Pods come and go; series belong to the node.
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
  # Prometheus Operator sets it to the name of the port; the agent uses it for a registry's endpoint.
  - action: labeldrop
    regex: endpoint
  {{- range $label, $ofNode := .nodeLabels }}
  - sourceLabels: [__meta_kubernetes_node_label_{{ regexReplaceAll "[^A-Za-z0-9_]" $ofNode "_" }}]
    targetLabel: {{ $label | quote }}
  {{- end }}
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "regprobe.scrapeLimits" -}}
{{- range $limit := list "sampleLimit" "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" }}
{{- with get $ $limit }}
{{ $limit }}: {{ int64 . }}
{{- end }}
{{- end }}
{{- if .nodeLabels }}
attachMetadata:
  node: true
{{- end }}
{{- end }}

{{- /* A rule as the values change it: a list of the value `prometheusRule` and the rule. */}}
{{- define "regprobe.rule" -}}
{{- $values := first . }}
{{- $rule := last . | deepCopy }}
{{- with get ($values.for | default dict) ($rule.alert | default "") }}
{{- $_ := set $rule "for" . }}
{{- end }}
{{- with $rule.annotations }}
{{- $base := trimSuffix "/" $values.runbookBase }}
{{- $page := last (splitList "/deploy/runbooks/" .runbook_url) }}
{{- /* An agent has all pages in one place. */}}
{{- if hasSuffix "/runbook" $base }}
{{- $page = trimPrefix "alerts/" $page | trimSuffix ".md" }}
{{- end }}
{{- $_ := set . "runbook_url" (printf "%s/%s" $base $page) }}
{{- end }}
{{- toYaml $rule }}
{{- end }}

{{- /* Not empty if the agents write to the API server. RBAC cannot say "its own node", so a ValidatingAdmissionPolicy
does, by the node that the token of a pod names. */}}
{{- define "regprobe.writes" -}}
{{- with .Values.config.kubernetes }}
{{- if or .node_condition .events }}true{{ end }}
{{- end }}
{{- end }}

{{- /* The name of objects that have no namespace, or another one. */}}
{{- define "regprobe.clusterName" -}}
{{- printf "%s-%s" (include "regprobe.namespace" .) (include "regprobe.fullname" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
