{{- /* What the schema cannot say. Each message begins with the value's name, as those of the agent do. */}}
{{- define "regprobe.refuse" -}}
{{- include "regprobe.refuseLabels" . }}
{{- include "regprobe.refuseArguments" . }}
{{- include "regprobe.refuseWeb" . }}
{{- include "regprobe.refuseSameNames" . }}
{{- include "regprobe.refuseConfig" . }}
{{- if and (eq (.Values.dnsPolicy | default "") "None") (not .Values.dnsConfig) }}
{{- fail "dnsConfig: the dnsPolicy None requires nameservers here" }}
{{- end }}
{{- if and .Values.podMonitor.enabled .Values.serviceMonitor.enabled }}
{{- fail "podMonitor and serviceMonitor: enable only one of them, or every agent is scraped twice" }}
{{- end }}
{{- $alerts := list }}
{{- range ($.Files.Get "files/rules/alerts.yaml" | fromYaml).groups }}
{{- range .rules }}
{{- $alerts = append $alerts .alert }}
{{- end }}
{{- end }}
{{- range concat (.Values.prometheusRule.disabled | default list) (keys (.Values.prometheusRule.for | default dict)) }}
{{- if not (has . $alerts) }}
{{- fail (printf "prometheusRule: there is no alert %s; there are %s" . (uniq $alerts | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Pods that lack a label of the selector would be refused by Kubernetes, or found by nobody. */}}
{{- define "regprobe.refuseLabels" -}}
{{- $selector := include "regprobe.selectorLabels" . | fromYaml }}
{{- range $value := list "commonLabels" "podLabels" }}
{{- range $key, $label := get $.Values $value | default dict }}
{{- if ne $label (get $selector $key | default $label) }}
{{- fail (printf "%s: %s finds the agents' pods and cannot be changed here; remove it, or set nameOverride" $value $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The agent refuses a flag that is given twice. */}}
{{- define "regprobe.refuseArguments" -}}
{{- $own := dict
  "config.file" "config"
  "config.fallback-file" "config"
  "config.auto-reload" "nothing, because it is always on"
  "config.check" "configCheck.enabled"
  "web.listen-address" "web.address and web.port"
  "web.config.file" "web.config or web.existingSecret"
  "web.enable-lifecycle" "web.enableLifecycle"
  "log.level" "log.level"
  "log.format" "log.format"
}}
{{- $seen := dict }}
{{- range .Values.extraArgs }}
{{- $flag := splitList "=" . | first | trimPrefix "--" }}
{{- with get $own $flag }}
{{- fail (printf "extraArgs: the chart sets --%s itself; use %s" $flag .) }}
{{- end }}
{{- if hasKey $seen $flag }}
{{- fail (printf "extraArgs: --%s is listed twice; keep one" $flag) }}
{{- end }}
{{- $_ := set $seen $flag true }}
{{- end }}
{{- end }}

{{- define "regprobe.refuseWeb" -}}
{{- with .Values.web }}
{{- if and .config .existingSecret }}
{{- fail "web.config and web.existingSecret: set only one of them" }}
{{- end }}
{{- if and .config (ne (hasKey .config "tls_server_config") (eq .scheme "HTTPS")) }}
{{- fail "web.scheme: must be HTTPS if web.config has tls_server_config, and HTTP otherwise; with the wrong one, kubelet restarts every pod" }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Kubernetes refuses two volumes, mounts, containers or ports of one name, or overwrites one silently. */}}
{{- define "regprobe.refuseSameNames" -}}
{{- $volumes := dict }}
{{- range $directory := .Values.hostDirectories }}
{{- $name := include "regprobe.volumeName" $directory }}
{{- with get $volumes $name }}
{{- fail (printf "hostDirectories: %s and %s would both be the volume %s; mount their parent directory instead" . $directory $name) }}
{{- end }}
{{- $_ := set $volumes $name $directory }}
{{- end }}
{{- $secrets := list }}
{{- $mounts := list }}
{{- range $index, $secret := .Values.pullSecrets }}
{{- $secrets = append $secrets (printf "pull-secret-%d" $index) }}
{{- $mounts = append $mounts (printf "/etc/regprobe-secrets/%s" $secret) }}
{{- end }}
{{- $own := dict
  "extraVolumes" (concat (list "config" "web") $secrets (keys $volumes))
  "extraEnv" (list "NODE_NAME" "POD_NAMESPACE" "HOST_IP")
  "extraContainers" (list "regprobe")
  "extraVolumeMounts" (concat (list "/etc/regprobe" "/etc/regprobe-web") $mounts)
}}
{{- range .Values.hostDirectories }}
{{- $_ := set $own "extraVolumeMounts" (append $own.extraVolumeMounts (printf "/host%s" .)) }}
{{- end }}
{{- range $name, $value := include "regprobe.proxies" . | fromYaml }}
{{- if $value }}
{{- $_ := set $own "extraEnv" (append $own.extraEnv $name) }}
{{- end }}
{{- end }}
{{- range $value, $names := $own }}
{{- $key := ternary "mountPath" "name" (eq $value "extraVolumeMounts") }}
{{- $seen := dict }}
{{- range get $.Values $value | default list }}
{{- $name := get . $key }}
{{- if not $name }}
{{- fail (printf "%s: an entry has no %s" $value $key) }}
{{- end }}
{{- if has $name $names }}
{{- fail (printf "%s: the chart has its own %s; choose another %s" $value $name $key) }}
{{- end }}
{{- if hasKey $seen $name }}
{{- fail (printf "%s: %s is listed twice; keep one" $value $name) }}
{{- end }}
{{- $_ := set $seen $name true }}
{{- end }}
{{- end }}
{{- end }}
