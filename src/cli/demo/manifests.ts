/** What the demo's user writes: a ServiceAccount, and the Pod of its Deployment. */
export const SERVICE_ACCOUNT = `apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  namespace: shop
  annotations:
    podpass.dev/audiences: https://api.example.com
`;

/** The Pod that the Deployment's controller creates; written by a user but for its name. */
export const POD = `apiVersion: v1
kind: Pod
metadata:
  generateName: web-7d9c6b5f4-
  namespace: shop
  labels: {app.kubernetes.io/name: web, pod-template-hash: 7d9c6b5f4}
  annotations:
    podpass.dev/audience.vault: https://vault.example.com
    podpass.dev/expiration.vault: 10m
    podpass.dev/env.vault: VAULT_TOKEN_FILE
    podpass.dev/skip-containers: log-shipper
spec:
  serviceAccountName: web
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: web
    image: registry.example.com/web:1.2.3
    ports: [{containerPort: 8080, name: http}]
    env:
    - name: LOG_LEVEL
      value: info
    volumeMounts:
    - {name: data, mountPath: /data}
  - name: log-shipper
    image: registry.example.com/log-shipper:0.9
  volumes:
  - {name: data, emptyDir: {}}
`;
