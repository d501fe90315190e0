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
app.kubernetes.io/name: {{ include "regprobe.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "regprobe.labels" -}}
{{ include "regprobe.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "regprobe.serviceAccountName" -}}
{{- $own := ternary (include "regprobe.fullname" .) "default" .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default $own }}
{{- end }}

{{- define "regprobe.image" -}}
{{- with .Values.image }}
{{- with .registry }}{{ . }}/{{ end }}
{{- .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end }}
{{- end }}

{{- /* The name of the volume of a directory of the node. */}}
{{- define "regprobe.volumeName" -}}
{{- printf "host%s" (regexReplaceAll "[^a-z0-9]+" (lower .) "-") | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Two directories with the name of one volume: Kubernetes would refuse them, and not say so plainly. */}}
{{- define "regprobe.refuseSameVolumes" -}}
{{- $seen := dict }}
{{- range $directory := .Values.hostDirectories }}
{{- $name := include "regprobe.volumeName" $directory }}
{{- with get $seen $name }}
{{- fail (printf "hostDirectories: %s and %s would both be the volume %s; mount a directory above both" . $directory $name) }}
{{- end }}
{{- $_ := set $seen $name $directory }}
{{- end }}
{{- end }}

{{- /* config.yaml: the values, and what only the chart knows. */}}
{{- define "regprobe.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $node := dict "root" "/host" }}
{{- $_ := set $config "node" (merge ($config.node | default dict) $node) }}
{{- $fleet := $config.fleet | default dict }}
{{- if not $fleet.service }}
{{- $service := printf "%s.%s.svc.%s" (include "regprobe.fullname" .) .Release.Namespace .Values.clusterDomain }}
{{- $_ := set $fleet "service" $service }}
{{- end }}
{{- $_ := set $config "fleet" $fleet }}
{{- toYaml $config }}
{{- end }}

{{- /* The Secret with web.yaml; empty where the listener has no such file. */}}
{{- define "regprobe.webSecret" -}}
{{- with .Values.web }}
{{- if and .config .existingSecret }}
{{- fail "web.config and web.existingSecret: keep one of them" }}
{{- end }}
{{- if and .config (ne (hasKey .config "tls_server_config") (eq .scheme "HTTPS")) }}
{{- fail "web.scheme: HTTPS where web.config has tls_server_config, else HTTP, or kubelet ends every pod" }}
{{- end }}
{{- if .config }}
{{- printf "%s-web" (include "regprobe.fullname" $) }}
{{- else }}
{{- .existingSecret }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What both monitors say of a scrape. */}}
{{- define "regprobe.endpoint" -}}
port: metrics
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
  # Pods come and go; what is told is told of the node.
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
  # To Prometheus Operator it is the name of a port; to the agent it is an endpoint of a registry.
  - action: labeldrop
    regex: endpoint
  {{- with .relabelings }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "regprobe.scrapeLimits" -}}
{{- pick . "labelLimit" "labelNameLengthLimit" "labelValueLengthLimit" | toYaml }}
{{- end }}
