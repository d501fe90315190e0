{{- /* Rules of the agent's configuration that the schema cannot say, in the agent's words. The Job checks all. */}}
{{- define "regprobe.refuseConfig" -}}
{{- $servers := dict }}
{{- $names := dict }}
{{- range $index, $registry := .Values.config.registries }}
{{- $path := printf "config.registries[%d]" $index }}
{{- $server := regexReplaceAll "^https?://" (lower $registry.server) "" }}
{{- if and (not (regexMatch "[.:]" $server)) (ne $server "localhost") }}
{{- fail (printf "%s.server: %q is not a full host name; write %s.azurecr.io if it is an Azure Container Registry" $path $registry.server $server) }}
{{- end }}
{{- $port := ternary "80" "443" (hasPrefix "http://" (lower $registry.server)) }}
{{- $full := ternary $server (printf "%s:%s" $server $port) (regexMatch ":[0-9]+$" $server) }}
{{- if hasKey $servers $full }}
{{- fail (printf "%s.server: %s is listed twice; keep one" $path $full) }}
{{- end }}
{{- $_ := set $servers $full true }}
{{- $name := $registry.name | default (trimSuffix ":443" $server) }}
{{- if hasKey $names $name }}
{{- fail (printf "%s.name: the name %q is taken; choose another" $path $name) }}
{{- end }}
{{- $_ := set $names $name true }}
{{- if and $registry.regions (not (regexMatch "[.]azurecr[.](io|us|cn|de)[.]?(:[0-9]+)?$" $server)) }}
{{- fail (printf "%s.regions: %s is not an Azure Container Registry, and only those have regions; list its hosts under data_endpoints" $path $server) }}
{{- end }}
{{- if and $registry.throughput (not $registry.images) }}
{{- fail (printf "%s.throughput: a layer of the first image is downloaded; list one under images" $path) }}
{{- end }}
{{- with $registry.credentials }}{{- if or .docker_config (kindIs "map" .managed_identity) }}
{{- if hasPrefix "http://" (lower $registry.server) }}
{{- fail (printf "%s.credentials: credentials are offered over TLS alone, and this registry speaks plain HTTP; leave them out" $path) }}
{{- end }}
{{- if not $registry.images }}
{{- fail (printf "%s.credentials: credentials are offered for images alone; list one under images" $path) }}
{{- end }}
{{- if and (kindIs "map" .managed_identity) (not (regexMatch "[.]azurecr[.](io|us|cn|de)[.]?(:[0-9]+)?$" $server)) }}
{{- fail (printf "%s.credentials.managed_identity: managed_identity is only for Azure Container Registries, and %s is none; leave it out" $path $server) }}
{{- end }}
{{- end }}{{- end }}
{{- if kindIs "slice" $registry.private }}
{{- range $place, $range := $registry.private }}
{{- $parts := splitList "/" $range }}
{{- $bits := ternary 128 32 (contains ":" $range) }}
{{- if or (eq (include "regprobe.isAddress" (first $parts)) "") (gt (last $parts | atoi) $bits | and (gt (len $parts) 1)) }}
{{- fail (printf "%s.private[%d]: %q is not an address range; write it as %s" $path $place $range (ternary "fd00:240::/64" "10.240.0.0/16" (contains ":" $range))) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $index, $nameserver := .Values.config.nameservers }}
{{- if eq (include "regprobe.isAddress" (regexReplaceAll "(^[^:]*):[0-9]+$" $nameserver.address "$1")) "" }}
{{- fail (printf "config.nameservers[%d].address: %q is not the address of a nameserver; write it as 168.63.129.16, 168.63.129.16:53 or [fd00::a]:53" $index $nameserver.address) }}
{{- end }}
{{- end }}
{{- include "regprobe.refuseSchedule" . }}
{{- end }}

{{- /* Not empty for an address, as far as IPv4 goes. */}}
{{- define "regprobe.isAddress" -}}
{{- $byte := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" }}
{{- if or (contains ":" .) (regexMatch (printf "^(%s[.]){3}%s$" $byte $byte) .) }}yes{{ end }}
{{- end }}

{{- define "regprobe.refuseSchedule" -}}
{{- $default := dict "network_interval" "15s" "request_interval" "1m" "token_interval" "5m" "image_interval" "15m" "timeout" "10s" }}
{{- $schedule := merge (dict) (.Values.config.schedule | default dict) $default }}
{{- $minute := 60000 }}
{{- $day := 86400000 }}
{{- range $key, $typed := $schedule }}
{{- $millis := include "regprobe.millis" $typed | atoi }}
{{- if and (eq $key "timeout") (or (lt $millis 100) (gt $millis $minute)) }}
{{- fail (printf "config.schedule.timeout: %s is out of range; write 100ms to 1m" $typed) }}
{{- end }}
{{- if or (lt $millis 1000 | and (ne $key "timeout")) (gt $millis $day) }}
{{- fail (printf "config.schedule.%s: %s is out of range; write 1s to 1d" $key $typed) }}
{{- end }}
{{- end }}
{{- range list (list "network_interval" "request_interval") (list "request_interval" "token_interval") (list "request_interval" "image_interval") }}
{{- $carrier := get $schedule (first .) }}
{{- $interval := get $schedule (last .) }}
{{- if lt (include "regprobe.millis" $interval | atoi) (include "regprobe.millis" $carrier | atoi) }}
{{- fail (printf "config.schedule.%s: %s is shorter than %s (%s), whose rounds it is part of; write %s or more" (last .) $interval (first .) $carrier $carrier) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A duration such as 1h30m in milliseconds. */}}
{{- define "regprobe.millis" -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 "w" 604800000 "y" 31536000000 }}
{{- $sum := 0 }}
{{- range regexFindAll "[0-9]+(ms|[smhdwy])" . -1 }}
{{- $sum = add $sum (mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]+$" .) | int64)) }}
{{- end }}
{{- $sum }}
{{- end }}
