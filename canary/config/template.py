"""The `canary.yaml` that `canary init` writes: short, commented, and without faults as it stands."""

_TEMPLATE = """\
# What canary releases, in which steps, and how it judges. Every key: `canary schema`.
# Durations are 90s, 1m30s, 500ms; percentages 10%; percentage points 0.5pp.

target: {{local: {name}}}

local:
  # Started once per replica; {{version}} and {{port}} are filled in, and {{python}}, which is the Python
  # that runs Canary. Put your own service here.
  command: ["{{python}}", -m, canary.local.demo.service, --version, "{{version}}", --port, "{{port}}"]
  version: v1.0.0            # what runs first
  replicas: 4
  listen: 127.0.0.1:8080     # the one address in front of all replicas
  health: /health/ready      # answers 2xx when a replica is ready
  metrics: /metrics          # Prometheus text format
  scrape: 15s
  drain: 10s                 # open connections get this long when a replica goes

steps: [10, 25, 50]          # weights of the canary in %; left as soon as the evidence allows
hold: {{min: 1m, max: 15m}}    # time in a step
deadline: 1h                 # a conclusion by then, or
on_inconclusive: rollback    # rollback | pause | promote

analysis:
  interval: 15s              # between two looks
  false_rollback_rate: 1%    # over the whole release, however often one looks
  false_promotion_rate: 2%   # for a canary worse than the margin
  metrics:
    - preset: http           # http_requests_total and http_request_duration_seconds
      errors:  {{tolerance: 10%, margin: {{ratio: 1.5, abs: 0.5pp}}}}
      latency: {{tolerance: 25%, margin: {{ratio: 1.5, abs: 1pp}}}}
"""


def init_template(name: str = "shop") -> str:
    """A file that loads without faults and runs the demo service.

    Args:
        name: of the target; letters, digits and `-._`.
    """
    return _TEMPLATE.format(name=name)
