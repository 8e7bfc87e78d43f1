/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "api/test_writes.h"
#include "base/cleanup.h"

struct expectation {
    const char *spec, *refusal;
};

#define META "metadata: {name: p, namespace: default, uid: u, resourceVersion: '7'"
#define BOX "containers: [{name: c, image: i}]"
#define LABEL                                                                                                \
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start "  \
    "and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "   \
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

static void check_pods(const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text pod = {0};
        text_printf(&pod, "{" META ", labels: {app: web}}, spec: {%s}}", cases[i].spec);
        test_create(API_POD, text_str(&pod), cases[i].refusal);
        text_done(&pod);
    }
}

/* What stands inside the one container. */
static void check_containers(const struct expectation *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text pod = {0};
        text_printf(&pod, "{" META "}, spec: {volumes: [{name: v}], containers: [{name: c, image: i, %s}]}}",
                    cases[i].spec);
        test_create(API_POD, text_str(&pod), cases[i].refusal);
        text_done(&pod);
    }
}

static void test_containers(void **state)
{
    static const struct expectation cases[] = {
        {BOX, NULL},
        {"", "spec.containers: Required value"},
        {"containers: [{}]",
         "[spec.containers[0].name: Required value, spec.containers[0].image: Required value]"},
        {"containers: [{name: A, image: ' i'}]", "[spec.containers[0].name: Invalid value: \"A\": " LABEL
                                                 ", spec.containers[0].image: Invalid value: \" i\": must "
                                                 "not have leading or trailing whitespace]"},
        {"containers: [{name: c, image: i}, {name: c, image: i}], initContainers: [{name: c, image: i}]",
         "[spec.containers[1].name: Duplicate value: \"c\", spec.initContainers[0].name: Duplicate value: "
         "\"c\"]"},
        {"containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 8080}]}, {name: d, image: "
         "i, ports: [{containerPort: 81, hostPort: 8080}]}]",
         "spec.containers[1].ports[0].hostPort: Duplicate value: \"TCP//8080\""},
        {BOX ", initContainers: [{name: d, image: i, lifecycle: {preStop: {sleep: {seconds: 1}}}}]",
         "spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without "
         "restartPolicy=Always"},
        {BOX ", initContainers: [{name: d, image: i, restartPolicy: Always, readinessProbe: {tcpSocket: "
             "{port: 1}}}]",
         NULL},
        {BOX ", initContainers: [{name: d, image: i, restartPolicy: Sometimes}]",
         "spec.initContainers[0].restartPolicy: Unsupported value: \"Sometimes\": supported values: "
         "\"Always\", \"Never\", \"OnFailure\""},
        {BOX ", ephemeralContainers: [{name: e, image: i}]",
         "spec.ephemeralContainers: Forbidden: cannot be set on create"},
        {"hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]", NULL},
        {"hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 81}]}]",
         "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when "
         "`hostNetwork` is true"},
    };
    check_pods(cases, ARRAY_LEN(cases));
}

static void test_container_fields(void **state)
{
    static const struct expectation cases[] = {
        {"imagePullPolicy: Often",
         "spec.containers[0].imagePullPolicy: Unsupported value: \"Often\": supported values: \"Always\", "
         "\"IfNotPresent\", \"Never\""},
        {"terminationMessagePolicy: None", "spec.containers[0].terminationMessagePolicy: Unsupported value: "
                                           "\"None\": supported values: \"File\", \"FallbackToLogsOnError\""},
        {"ports: [{}, {containerPort: 70000, protocol: tcp}, {containerPort: 1, name: a--1}, {containerPort: "
         "2, name: b}, {containerPort: 3, name: b}]",
         "[spec.containers[0].ports[0].containerPort: Required value, "
         "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, "
         "inclusive, spec.containers[0].ports[1].protocol: Unsupported value: \"tcp\": supported values: "
         "\"SCTP\", \"TCP\", \"UDP\", spec.containers[0].ports[2].name: Invalid value: \"a--1\": must not "
         "contain consecutive hyphens, spec.containers[0].ports[4].name: Duplicate value: \"b\"]"},
    };
    check_containers(cases, ARRAY_LEN(cases));
}

static void test_environment(void **state)
{
    static const struct expectation cases[] = {
        {"env: [{}, {name: 'a=b'}, {name: ok, value: v}]",
         "[spec.containers[0].env[0].name: Required value, spec.containers[0].env[1].name: Invalid value: "
         "\"a=b\": a valid environment variable name must consist only of printable ASCII characters other "
         "than '=']"},
        {"env: [{name: a, valueFrom: {}}, {name: b, value: v, valueFrom: {fieldRef: {fieldPath: "
         "status.podIP}}}]",
         "[spec.containers[0].env[0].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, "
         "`resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`, "
         "spec.containers[0].env[1].valueFrom: Invalid value: \"\": may not be specified when `value` is not "
         "empty]"},
        {"env: [{name: a, valueFrom: {fieldRef: {fieldPath: spec.foo}}}, {name: b, valueFrom: {fieldRef: "
         "{fieldPath: status.phase}}}, {name: c, valueFrom: {fieldRef: {fieldPath: "
         "\"metadata.labels['a/b']\"}}}]",
         "[spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.foo\": error "
         "converting fieldPath: field label not supported: spec.foo, "
         "spec.containers[0].env[1].valueFrom.fieldRef.fieldPath: Unsupported value: \"status.phase\": "
         "supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", "
         "\"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", "
         "\"status.podIPs\"]"},
        {"env: [{name: a, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: '2'}}}]",
         "spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only "
         "divisor's values 1m and 1 are supported with the cpu resource"},
        {"env: [{name: a, valueFrom: {fileKeyRef: {volumeName: v, path: f, key: k}}}, {name: b, valueFrom: "
         "{fileKeyRef: {volumeName: w, path: ../f, key: k}}}]",
         "[spec.containers[0].env[1].valueFrom.fileKeyRef.path: Invalid value: \"../f\": must not contain "
         "'..', spec.containers[0].env[1].valueFrom.fileKeyRef.volumeName: Not found: \"w\"]"},
        {"env: [{name: a, valueFrom: {configMapKeyRef: {name: m, key: k}, secretKeyRef: {name: s, key: "
         "..}}}]",
         "[spec.containers[0].env[0].valueFrom.secretKeyRef.key: Invalid value: \"..\": must not be '..', "
         "spec.containers[0].env[0].valueFrom: Invalid value: \"\": may not have more than one field "
         "specified at a time]"},
        {"envFrom: [{}, {configMapRef: {name: a-}, secretRef: {name: b}}]",
         "[spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or "
         "`secretRef`, spec.containers[0].envFrom: Invalid value: \"\": may not have more than one field "
         "specified at a time]"},
    };
    check_containers(cases, ARRAY_LEN(cases));
}

static void test_mounts(void **state)
{
    static const struct expectation cases[] = {
        {"volumeMounts: [{name: v, mountPath: /a}, {name: w, mountPath: /a, subPath: /x}]",
         "[spec.containers[0].volumeMounts[1].name: Not found: \"w\", "
         "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique, "
         "spec.containers[0].volumeMounts.subPath: Invalid value: \"/x\": must be a relative path]"},
        {"volumeMounts: [{name: v, mountPath: /a, mountPropagation: Bidirectional}], volumeDevices: [{name: "
         "v, devicePath: /a}]",
         "[spec.containers[0].volumeMounts[0].name: Invalid value: \"v\": must not already exist in "
         "volumeDevices, spec.containers[0].volumeMounts[0].mountPath: Invalid value: \"/a\": must not "
         "already exist as a path in volumeDevices, spec.containers[0].volumeMounts.mountPropagation: "
         "Forbidden: Bidirectional mount propagation is available only to privileged containers, "
         "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of "
         "PersistentVolumeClaim or Ephemeral for block mode, spec.containers[0].volumeDevices[0].name: "
         "Invalid value: \"v\": must not already exist in volumeMounts, "
         "spec.containers[0].volumeDevices[0].devicePath: Invalid value: \"/a\": must not already exist as a "
         "path in volumeMounts]"},
        {"securityContext: {runAsUser: -1, allowPrivilegeEscalation: false, privileged: true, procMount: "
         "Unmasked}",
         "[spec.containers[0].securityContext.runAsUser: Invalid value: -1: must be between 0 and "
         "2147483647, inclusive, spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": "
         "`hostUsers` must be false to use `Unmasked`, spec.containers[0].securityContext: Invalid value: {\""
         "Capabilities\":null,\"Privileged\":true,\"SELinuxOptions\":null,\"WindowsOptions\":null,\"RunAsUser"
         "\":-1,\"RunAsGroup\":null,\"RunAsNonRoot\":null,\"ReadOnlyRootFilesystem\":null,\"AllowPrivilegeEsc"
         "alation\":false,\"ProcMount\":\"Unmasked\",\"SeccompProfile\":null,\"AppArmorProfile\":null}: "
         "cannot set `allowPrivilegeEscalation` to false and `privileged` to true]"},
    };
    check_containers(cases, ARRAY_LEN(cases));
}

static void test_resources(void **state)
{
    static const struct expectation cases[] = {
        {"resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 1M, example.com/gpu: 2}}", NULL},
        {"resources: {limits: {cpu: 500m}, requests: {cpu: 0.6}}",
         "spec.containers[0].resources.requests: Invalid value: \"600m\": must be less than or equal to cpu "
         "limit of 500m"},
        {"resources: {limits: {cpu: -1}}", "[spec.containers[0].resources.limits[cpu]: Invalid value: "
                                           "\"-1\": must be greater than or equal to 0, "
                                           "spec.containers[0].resources.requests[cpu]: Invalid value: "
                                           "\"-1\": must be greater than or equal to 0]"},
        {"resources: {requests: {gpu: 1}}", "[spec.containers[0].resources.requests[gpu]: Invalid value: "
                                            "\"gpu\": must be a standard resource type or fully qualified, "
                                            "spec.containers[0].resources.requests[gpu]: Invalid value: "
                                            "\"gpu\": must be a standard resource for containers]"},
        {"resources: {requests: {example.com/gpu: 1}}",
         "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable "
         "resources"},
        {"resources: {limits: {example.com/gpu: 1500m}, requests: {example.com/gpu: 1}}",
         "[spec.containers[0].resources.limits[example.com/gpu]: Invalid value: \"1500m\": must be an "
         "integer, spec.containers[0].resources.requests: Invalid value: \"1\": must be equal to "
         "example.com/gpu limit of 1500m]"},
        {"resources: {limits: {hugepages-2Mi: 3Mi}}",
         "[spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive "
         "integer multiple of hugepages-2Mi, spec.containers[0].resources.requests[hugepages-2Mi]: Invalid "
         "value: \"3Mi\": 3Mi is not positive integer multiple of hugepages-2Mi, "
         "spec.containers[0].resources: Forbidden: HugePages require cpu or memory]"},
        {"resources: {claims: [{name: a}, {}]}",
         "[spec.containers[0].resources.claims[0]: Not found: \"a\": must be one of the names in "
         "pod.spec.resourceClaims which is empty, spec.containers[0].resources.claims[1]: Required value]"},
        {"resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}, {resourceName: cpu, restartPolicy: "
         "Never}]",
         "[spec.containers[0].resizePolicy[1]: Duplicate value: \"cpu\", spec.containers[0].resizePolicy: "
         "Unsupported value: \"Never\": supported values: \"NotRequired\", \"RestartContainer\"]"},
    };
    check_containers(cases, ARRAY_LEN(cases));
}

static void test_probes(void **state)
{
    static const struct expectation cases[] = {
        {"livenessProbe: {httpGet: {port: http}}, readinessProbe: {exec: {command: [a]}}", NULL},
        {"livenessProbe: {}",
         "spec.containers[0].livenessProbe: Required value: must specify a handler type"},
        {"livenessProbe: {tcpSocket: {port: 1}, grpc: {port: 2}}",
         "spec.containers[0].livenessProbe.grpc: Forbidden: may not specify more than 1 handler type"},
        {"livenessProbe: {exec: {}, successThreshold: 2, periodSeconds: -1}",
         "[spec.containers[0].livenessProbe.exec.command: Required value, "
         "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal "
         "to 0, spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1]"},
        {"readinessProbe: {httpGet: {port: 0, scheme: FTP, httpHeaders: [{name: a b}]}, "
         "terminationGracePeriodSeconds: 5}",
         "[spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, "
         "inclusive, spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported "
         "values: \"HTTP\", \"HTTPS\", spec.containers[0].readinessProbe.httpGet.httpHeaders: Invalid value: "
         "\"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', "
         "regex used for validation is '[-A-Za-z0-9]+'), "
         "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set "
         "for readinessProbes]"},
        /* The signal is dropped: its gate is off. */
        {"lifecycle: {preStop: {sleep: {seconds: 31}}, stopSignal: SIGTERM}",
         "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
         "terminationGracePeriodSeconds (30)"},
    };
    check_containers(cases, ARRAY_LEN(cases));
}

static void test_volumes(void **state)
{
    static const struct expectation cases[] = {
        {BOX ", volumes: [{name: a}, {name: b, configMap: {name: m}}, {name: c, secret: {secretName: s}}]",
         NULL},
        {BOX ", volumes: [{name: a}, {name: a}, {}]",
         "[spec.volumes[1].name: Duplicate value: \"a\", spec.volumes[2].name: Required value]"},
        {BOX ", volumes: [{name: a, emptyDir: {}, hostPath: {path: /x}}]",
         "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"},
        {BOX ", volumes: [{name: a, hostPath: {path: /x/../z, type: Dir}}]",
         "[spec.volumes[0].hostPath.path: Invalid value: \"/x/../z\": must not contain '..', "
         "spec.volumes[0].hostPath.type: Unsupported value: \"Dir\": supported values: \"\", "
         "\"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", "
         "\"Socket\"]"},
        {BOX ", volumes: [{name: a, configMap: {defaultMode: 512, items: [{key: k, path: ..x}]}}]",
         "[spec.volumes[0].configMap.name: Required value, spec.volumes[0].configMap.defaultMode: Invalid "
         "value: 512: must be a number between 0 and 0777 (octal), both inclusive, "
         "spec.volumes[0].configMap.items[0].path: Invalid value: \"..x\": must not start with '..']"},
        {BOX ", volumes: [{name: a, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: "
             "1}}]}}]",
         "[spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may "
         "not specify a duration less than 10 minutes, "
         "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when "
         "serviceAccountName is not set]"},
        {BOX ", volumes: [{name: a, projected: {sources: [{secret: {name: s, items: [{key: k, path: f}]}}, "
             "{configMap: {name: m, items: [{key: k, path: f}]}}]}}]",
         "spec.volumes[0].projected: Invalid value: \"m\": conflicting duplicate paths"},
        {BOX ", volumes: [{name: a, downwardAPI: {items: [{path: f}]}}]",
         "spec.volumes[0].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required"},
        {BOX ", volumes: [{name: a, emptyDir: {sizeLimit: -1}}]",
         "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity"},
        {BOX ", volumes: [{name: a, nfs: {server: s, path: x}}]",
         "spec.volumes[0].nfs.path: Invalid value: \"x\": must be an absolute path"},
        {BOX
         ", volumes: [{name: a, gcePersistentDisk: {partition: 300}}, {name: b, rbd: {}}, {name: c, fc: "
         "{targetWWNs: [x]}}, {name: d, flocker: {}}, {name: e, gitRepo: {repository: r, directory: /x}}]",
         "[spec.volumes[0].persistentDisk.pdName: Required value, spec.volumes[0].persistentDisk.partition: "
         "Invalid value: 300: must be between 1 and 255, inclusive, spec.volumes[1].rbd.monitors: Required "
         "value, spec.volumes[1].rbd.image: Required value, spec.volumes[2].fc.lun: Required value: lun is "
         "required if targetWWNs is specified, spec.volumes[3].flocker: Required value: one of datasetName "
         "and datasetUUID is required, spec.volumes[4].gitRepo.directory: Invalid value: \"/x\": must be a "
         "relative path]"},
        /* A volume with a fault of its own is not there for its container. */
        {"volumes: [{name: a, secret: {}}], containers: [{name: c, image: i, volumeMounts: [{name: a, "
         "mountPath: /a}]}]",
         "[spec.volumes[0].secret.secretName: Required value, spec.containers[0].volumeMounts[0].name: Not "
         "found: \"a\"]"},
    };
    check_pods(cases, ARRAY_LEN(cases));
}

static void test_pod_fields(void **state)
{
    static const struct expectation cases[] = {
        {BOX ", restartPolicy: Sometimes, dnsPolicy: Mine",
         "[spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", "
         "\"OnFailure\", \"Never\", spec.dnsPolicy: Unsupported value: \"Mine\": supported values: "
         "\"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\"]"},
        {BOX ", dnsPolicy: None",
         "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"},
        {BOX
         ", dnsPolicy: None, dnsConfig: {nameservers: [10.0.0.10, x], searches: [a_b.c., .], options: [{}]}",
         "[spec.dnsConfig.nameservers[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 "
         "or 2001:db8::ffff), spec.dnsConfig.options[0]: Required value: must not be empty]"},
        {BOX ", activeDeadlineSeconds: 0",
         "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"},
        {BOX ", hostname: a.b, subdomain: a.b", "[spec.hostname: Invalid value: \"a.b\": must not contain "
                                                "dots, spec.subdomain: Invalid value: \"a.b\": must not "
                                                "contain dots]"},
        {BOX ", nodeName: n1, schedulingGates: [{name: a}, {name: a}]",
         "[spec.schedulingGates[1]: Duplicate value: \"a\", spec.nodeName: Forbidden: cannot be set until "
         "all schedulingGates have been cleared]"},
        {BOX ", hostAliases: [{ip: 127.0.0.1, hostnames: [a]}, {ip: a}]",
         "spec.hostAliases[1].ip: Invalid value: \"a\": must be a valid IP address, (e.g. 10.9.8.7 or "
         "2001:db8::ffff)"},
        {BOX ", tolerations: [{operator: Exists}, {key: a, value: b}, {value: b}, {key: a, operator: Exists, "
             "value: b}, {key: a, operator: Is}, {key: a, effect: Go, tolerationSeconds: 1}, {key: a, "
             "operator: Lt, value: '1'}]",
         "[spec.tolerations[2].operator: Invalid value: \"\": operator must be Exists when `key` is empty, "
         "which means \"match all values and all keys\", spec.tolerations[3].operator: Invalid value: \"b\": "
         "value must be empty when `operator` is 'Exists', spec.tolerations[4].operator: Unsupported value: "
         "\"Is\": supported values: \"Equal\", \"Exists\", spec.tolerations[5].effect: Invalid value: "
         "\"Go\": effect must be 'NoExecute' when `tolerationSeconds` is set, spec.tolerations[5].effect: "
         "Unsupported value: \"Go\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\", "
         "spec.tolerations[6].operator: Unsupported value: \"Lt\": supported values: \"Equal\", \"Exists\", "
         "\"Lt\", \"Gt\"]"},
        {BOX ", hostUsers: false, hostPID: true, securityContext: {fsGroup: -1, sysctls: [{name: net.a, "
             "value: '1'}, {name: A}]}",
         "[spec.securityContext.fsGroup: Invalid value: -1: must be between 0 and 2147483647, inclusive, "
         "spec.securityContext.sysctls[1].name: Invalid value: \"A\": must have at most 253 characters and "
         "match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$, spec.HostPID: "
         "Forbidden: when `hostUsers` is false]"},
        {BOX ", os: {name: bsd}",
         "spec.os: Unsupported value: \"bsd\": supported values: \"linux\", \"windows\""},
        {BOX ", resources: {limits: {gpu: 1, memory: 1Gi}, requests: {memory: 2Gi}}",
         "[spec.resources.limits[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully "
         "qualified, spec.resources.requests: Invalid value: \"2Gi\": must be less than or equal to memory "
         "limit of 1Gi]"},
    };
    check_pods(cases, ARRAY_LEN(cases));
}

static void test_scheduling(void **state)
{
    static const struct expectation cases[] = {
        {BOX ", affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {}}}",
         "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: "
         "Required value: must have at least one node selector term"},
        {BOX ", affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, "
             "preference: {matchExpressions: [{key: a, operator: In}, {key: b, operator: Like}]}}]}}",
         "[spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid "
         "value: 0: must be in the range 1-100, spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDu"
         "ringExecution[0].preference.matchExpressions[0].values: Required value: must be specified when "
         "`operator` is 'In' or 'NotIn', spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExe"
         "cution[0].preference.matchExpressions[1].operator: Invalid value: \"Like\": not a valid selector "
         "operator]"},
        {BOX
         ", affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: a, "
         "matchLabelKeys: [app]}]}}",
         "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: "
         "Forbidden: must not be specified when labelSelector is not set"},
        {BOX ", topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule, "
             "matchLabelKeys: [app], labelSelector: {matchLabels: {app: web}}}]",
         "spec.topologySpreadConstraints[0][0]: Invalid value: \"app\": exists in both matchLabelKeys and "
         "labelSelector"},
        {BOX
         ", topologySpreadConstraints: [{maxSkew: 0, topologyKey: a, whenUnsatisfiable: DoNotSchedule}, "
         "{maxSkew: 1, topologyKey: a, whenUnsatisfiable: DoNotSchedule}, {maxSkew: 1, whenUnsatisfiable: "
         "Whatever, minDomains: 0}]",
         "[spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero, "
         "spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{a, "
         "DoNotSchedule}\", spec.topologySpreadConstraints[2].topologyKey: Required value: can not be empty, "
         "spec.topologySpreadConstraints[2].whenUnsatisfiable: Unsupported value: \"Whatever\": supported "
         "values: \"DoNotSchedule\", \"ScheduleAnyway\", spec.topologySpreadConstraints[2].minDomains: "
         "Invalid value: 0: must be greater than zero, spec.topologySpreadConstraints[2].minDomains: Invalid "
         "value: 0: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not Whatever]"},
    };
    check_pods(cases, ARRAY_LEN(cases));
}

struct change {
    const char *before, *after, *refusal;
};

static void check_changes(const char *frame, bool is_status, const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct text before = {0}, after = {0};
        text_printf(&before, frame, changes[i].before);
        text_printf(&after, frame, changes[i].after);
        test_update(API_POD, text_str(&before), text_str(&after), is_status, changes[i].refusal);
        text_done(&before);
        text_done(&after);
    }
}

#define FIXED                                                                                                \
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"              \
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to "     \
    "existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "         \
    "previously negative)\n"

static void test_updates(void **state)
{
    static const struct change changes[] = {
        {BOX, BOX, NULL},
        {BOX, "containers: [{name: c, image: j}]", NULL},
        {BOX, BOX ", activeDeadlineSeconds: 5", NULL},
        {BOX ", activeDeadlineSeconds: 5", BOX,
         "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil "
         "value"},
        {BOX ", activeDeadlineSeconds: 5", BOX ", activeDeadlineSeconds: 6",
         "spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"},
        {BOX ", tolerations: [{key: a}]",
         BOX ", tolerations: [{key: b}, {key: a, effect: NoExecute}, {key: a}]", NULL},
        {BOX ", tolerations: [{key: a, effect: NoExecute}]",
         BOX ", tolerations: [{key: a, effect: NoExecute, tolerationSeconds: 5}]", NULL},
        {BOX ", tolerations: [{key: a}]", BOX,
         "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"},
        {BOX, "containers: [{name: c, image: i}, {name: d, image: i}]",
         "spec.containers: Forbidden: pod updates may not add or remove containers"},
        {BOX, "containers: [{name: c, image: i, ports: [{containerPort: 80}]}]", FIXED "containers"},
        {BOX, BOX ", nodeName: n1, hostNetwork: true", FIXED "nodeName, hostNetwork"},
        {BOX, BOX ", terminationGracePeriodSeconds: 1", FIXED "terminationGracePeriodSeconds"},
        {"containers: [{name: c, image: i, resources: {limits: {cpu: 1}}}]",
         "containers: [{name: c, image: i, resources: {limits: {cpu: 1000m}}}]", NULL},
        {BOX ", schedulingGates: [{name: a}, {name: b}]", BOX ", schedulingGates: [{name: b}]", NULL},
        {BOX ", schedulingGates: [{name: a}]", BOX ", schedulingGates: [{name: b}]",
         "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate "
         "'b'"},
        {BOX ", schedulingGates: [{name: a}], nodeSelector: {a: b}",
         BOX ", schedulingGates: [{name: a}], nodeSelector: {a: b, c: d}", NULL},
        {BOX ", nodeSelector: {a: b}", BOX ", nodeSelector: {a: b, c: d}", FIXED "nodeSelector"},
        {BOX ", schedulingGates: [{name: a}]",
         BOX
         ", schedulingGates: [{name: a}], affinity: {nodeAffinity: "
         "{requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, "
         "operator: Exists}]}]}}}",
         NULL},
    };
    check_changes("{" META "}, spec: {%s}}", false, changes, ARRAY_LEN(changes));
}

static void test_status(void **state)
{
    static const struct change changes[] = {
        {"podIP: 10.0.0.1", "podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]", NULL},
        {"", "podIPs: [{ip: 10.0.0.1}, {ip: 10.0.0.2}]",
         "status.podIPs: Invalid value: [{\"IP\":\"10.0.0.1\"},{\"IP\":\"10.0.0.2\"}]: may specify no more "
         "than one IP for each IP family"},
        {"", "hostIP: 10.0.0.1, hostIPs: [{ip: 10.0.0.2}]",
         "status.hostIPs[0].ip: Invalid value: \"10.0.0.2\": must be equal to `hostIP`"},
        {"qosClass: Burstable", "qosClass: Guaranteed",
         "status.qosClass: Invalid value: \"Guaranteed\": field is immutable"},
        {"qosClass: Burstable", "phase: Running", NULL},
        {"", "conditions: [{type: Ready}, {type: a_}]",
         "status.conditions[1].Type: Invalid value: \"a_\": name part must consist of alphanumeric "
         "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName', "
         " or 'my.name',  or '123-abc', regex used for validation is "
         "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"},
        {"containerStatuses: [{name: c, state: {terminated: {exitCode: 0}}}]",
         "containerStatuses: [{name: c, state: {running: {}}}]",
         "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"},
        {"containerStatuses: [{name: c, state: {terminated: {exitCode: 1}}}]",
         "containerStatuses: [{name: c, state: {running: {}}}]", NULL},
        {"ephemeralContainerStatuses: [{name: c, state: {terminated: {exitCode: 1}}}]",
         "ephemeralContainerStatuses: [{name: c, state: {running: {}}}]",
         "status.ephemeralContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated "
         "state"},
        {"", "nominatedNodeName: n2",
         "status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node"},
    };
    check_changes("{" META "}, spec: {restartPolicy: OnFailure, nodeName: n1, " BOX "}, status: {%s}}", true,
                  changes, ARRAY_LEN(changes));
}

static void test_annotations(void **state)
{
    static const struct change changes[] = {
        {"kubernetes.io/config.mirror: a", "kubernetes.io/config.mirror: b",
         "metadata.annotations[kubernetes.io/config.mirror]: Forbidden: may not remove or update mirror pod "
         "annotation"},
        {"a: b", "a: b, container.apparmor.security.beta.kubernetes.io/c: runtime/default",
         "metadata.annotations[container.apparmor.security.beta.kubernetes.io/c]: Forbidden: may not add "
         "AppArmor annotations"},
        {"a: b", "controller.kubernetes.io/pod-deletion-cost: '+5'",
         "metadata.annotations[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"+5\": must be a "
         "32bit integer"},
    };
    check_changes("{" META ", annotations: {%s}}, spec: {nodeName: n1, " BOX "}}", false, changes,
                  ARRAY_LEN(changes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_containers),  cmocka_unit_test(test_container_fields),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_resources),   cmocka_unit_test(test_probes),
        cmocka_unit_test(test_volumes),     cmocka_unit_test(test_pod_fields),
        cmocka_unit_test(test_scheduling),  cmocka_unit_test(test_updates),
        cmocka_unit_test(test_status),      cmocka_unit_test(test_annotations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
