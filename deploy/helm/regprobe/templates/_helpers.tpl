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

{{- /* The volume name for a node directory. */}}
{{- define "regprobe.volumeName" -}}
{{- printf "host%s" (regexReplaceAll "[^a-z0-9]+" (lower .) "-") | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* Refuses two directories with the same volume name; Kubernetes' own error would be unclear. */}}
{{- define "regprobe.refuseSameVolumes" -}}
{{- $seen := dict }}
{{- range $directory := .Values.hostDirectories }}
{{- $name := include "regprobe.volumeName" $directory }}
{{- with get $seen $name }}
{{- fail (printf "hostDirectories: %s and %s would both be the volume %s; mount their parent directory instead" . $directory $name) }}
{{- end }}
{{- $_ := set $seen $name $directory }}
{{- end }}
{{- end }}

{{- /* config.yaml: the values, plus settings that only the chart knows. */}}
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

{{- /* The name of the Secret with web.yaml; empty if the listener has no such file. */}}
{{- define "regprobe.webSecret" -}}
{{- with .Values.web }}
{{- if and .config .existingSecret }}
{{- fail "web.config and web.existingSecret: set only one of them" }}
{{- end }}
{{- if and .config (ne (hasKey .config "tls_server_config") (eq .scheme "HTTPS")) }}
{{- fail "web.scheme: must be HTTPS if web.config has tls_server_config, and HTTP otherwise; with the wrong one, kubelet restarts every pod" }}
{{- end }}
{{- if .config }}
{{- printf "%s-web" (include "regprobe.fullname" $) }}
{{- else }}
{{- .existingSecret }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The scrape settings of both monitors. */}}
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
  # Pods come and go; series belong to the node.
  - sourceLabels: [__meta_kubernetes_pod_node_name]
    targetLabel: node
  # Prometheus Operator sets it to the name of the port; the agent uses it for a registry's endpoint.
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
