{{- define "cc-relay.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "cc-relay.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "cc-relay.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "cc-relay.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "cc-relay.selector" -}}
app.kubernetes.io/name: {{ include "cc-relay.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cc-relay.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "cc-relay.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "cc-relay.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- define "cc-relay.configMap" -}}
{{- .Values.existingConfigMap | default (include "cc-relay.fullname" .) -}}
{{- end -}}

{{- define "cc-relay.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "cc-relay.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- /* A probe, by HTTPS if the relay serves it. */ -}}
{{- define "cc-relay.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- if and .https (hasKey $probe "httpGet") -}}
{{- $_ := set $probe.httpGet "scheme" "HTTPS" -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{- define "cc-relay.pod" -}}
metadata:
  labels:
    {{- include "cc-relay.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .Values.podAnnotations .Values.restartOnConfigChange }}
  annotations:
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- if .Values.restartOnConfigChange }}
    checksum/config: {{ toYaml .Values.config | sha256sum }}
    {{- end }}
  {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "cc-relay.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.drain.delaySeconds .Values.drain.timeoutSeconds 15 }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: cc-relay
      image: {{ include "cc-relay.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/cc-relay/config.yaml]
      env:
        - name: CC_RELAY_SERVER__LISTEN
          value: 0.0.0.0:8787
        - name: CC_RELAY_SERVER__DRAIN_DELAY_MS
          value: {{ mul .Values.drain.delaySeconds 1000 | quote }}
        - name: CC_RELAY_SERVER__DRAIN_TIMEOUT_MS
          value: {{ mul .Values.drain.timeoutSeconds 1000 | quote }}
        - name: CC_RELAY_LOGGING__FORMAT
          value: json
        {{- if .Values.metrics.enabled }}
        - name: CC_RELAY_METRICS__LISTEN
          value: 0.0.0.0:{{ .Values.metrics.port }}
        {{- end }}
        {{- if .Values.ledger.enabled }}
        - name: STATE_DIRECTORY
          value: /var/lib/cc-relay
        {{- else }}
        - name: CC_RELAY_USAGE__ENABLED
          value: "false"
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - name: CC_RELAY_SERVER__TLS__CERT
          value: /etc/cc-relay-tls/tls.crt
        - name: CC_RELAY_SERVER__TLS__KEY
          value: /etc/cc-relay-tls/tls.key
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- if .Values.existingSecret }}
      envFrom:
        - secretRef:
            name: {{ .Values.existingSecret }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8787
        {{- if .Values.metrics.enabled }}
        - name: metrics
          containerPort: {{ .Values.metrics.port }}
        {{- end }}
      {{- range $name := list "startupProbe" "livenessProbe" "readinessProbe" }}
      {{- with index $.Values $name }}
      {{ $name }}:
        {{- include "cc-relay.probe" (dict "probe" . "https" $.Values.tls.existingSecret) | nindent 8 }}
      {{- end }}
      {{- end }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        # The directory, never a subPath: Kubernetes does not update the file of a subPath.
        - name: config
          mountPath: /etc/cc-relay
          readOnly: true
        {{- if .Values.tls.existingSecret }}
        - name: tls
          mountPath: /etc/cc-relay-tls
          readOnly: true
        {{- end }}
        {{- if .Values.ledger.enabled }}
        - name: ledger
          mountPath: /var/lib/cc-relay
        {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "cc-relay.configMap" . }}
    {{- if .Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.existingSecret }}
    {{- end }}
    {{- if and .Values.ledger.enabled (not .Values.ledger.persistence.enabled) }}
    - name: ledger
      emptyDir:
        sizeLimit: {{ .Values.ledger.persistence.size }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
{{- end -}}
