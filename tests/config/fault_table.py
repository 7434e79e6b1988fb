# ruff: noqa: E501 - a row is a line
"""A file without faults, and what to change in it to get just one, with the line that tells it."""

GOOD = """\
target: {local: shop}
local:
  command: [serve, --port, "{port}", --version, "{version}"]
  version: v1
  replicas: 4
  scrape: 5s
steps: [10, 25%, 50]
hold: {min: 1m, max: 15m}
deadline: 1h
analysis:
  interval: 15s
  warm_up: {min: 60s, max: 5m}
  metrics:
    - preset: http
      errors: {tolerance: 10%, margin: {ratio: 1.5, abs: 0.5pp}}
      latency: {slower_than: 500ms}
    - name: checkout
      ratio: {bad: checkout_failed_total, all: checkout_total}
      margin: {abs: 0.2pp}
"""

# fmt: off
FAULTS = [
    ("interval: 15s", "interval: 15", r"canary\.yaml:11: analysis\.interval: found 15, wanted a duration such as 15s"),
    ("hold: {min: 1m", "hold: {min: 16m", r":8: hold\.min: found 16m, wanted at most 15m \(`hold\.max`\)"),
    ("min: 60s", "min: 10m", r":12: analysis\.warm_up\.min: found 10m, wanted at most 5m"),
    ("deadline: 1h", "deadline: 3m", r":9: deadline: found 3m, wanted more than 3m: 3 steps of at least 1m"),
    ("deadline: 1h", "deadline: 0s", r":9: deadline: found 0s, wanted a duration above 0s"),
    ("deadline: 1h", "deadlin: 1h", r":9: deadlin: is not a known key; did you mean `deadline`\?"),
    ("deadline: 1h", "interval: 1s", r":9: interval: is not a known key here; did you mean `analysis\.interval`\?"),
    ("deadline: 1h", "xyzzy: 1", r":9: xyzzy: is not a known key; wanted one of target, image"),
    ("deadline: 1h", "deadline:", r":9: deadline: found nothing"),
    ("deadline: 1h", "steps: [10]", r":9: steps: given twice, first on line 7"),
    ("deadline: 1h", "\tdeadline: 1h", r":9: found a tab in the indentation, wanted spaces"),
    ("deadline: 1h", "deadline: [1h", r":1[01]: this is not YAML: "),
    ("deadline: 1h", "budget: 50", r":9: budget: is not supported yet"),
    ("deadline: 1h", "guards: [{name: m, condition: memory_bytes > 1GiB, action: abrot}]", r":9: guards\[0\]\.action: found abrot, wanted one of alert, pause, abort; did you mean abort\?"),
    ("deadline: 1h", "guards: [{name: m, conditon: memory_bytes > 1GiB, action: abort, condition: memory_bytes > 1GiB}]", r":9: guards\[0\]\.conditon: is not a known key; did you mean `condition`\?"),
    ("deadline: 1h", "guards: [{name: m, condition: memry_bytes > 1GiB, action: abort}]", r":9: guards\[0\]\.condition: column 1: memry_bytes is not known here; did you mean memory_bytes\?\n    memry_bytes > 1GiB\n    \^$"),
    ("deadline: 1h", "guards: [{name: m, condition: error_rate > 5, action: abort}]", r":9: guards\[0\]\.condition: column 14: found 5, but error_rate is a share: wanted a percentage such as 90%\n    error_rate > 5\n                 \^$"),
    ("deadline: 1h", "guards: [{name: m, condition: memory_usage > 90%, action: abort}]", r":9: guards\[0\]\.condition: memory_usage is a part of a limit, and the local service has none: set `local\.limits\.memory`"),
    ("deadline: 1h", "guards: [{name: m, condition: restarts > 1, action: alert}, {name: m, condition: restarts > 2, action: abort}]", r":9: guards\[1\]\.name: a second guard is called `m`"),
    ("deadline: 1h", "gauges: {runtime: shop_runtime}", r":9: gauges\.runtime: is a name that guards know already"),
    ("deadline: 1h", "gauges: {a-b: shop_runtime}", r":9: gauges\.a-b: found this name, wanted letters, digits and _"),
    ("deadline: 1h", "gauges: {sold: shop_sold_total}", r":9: gauges\.sold: shop_sold_total is a counter by its name, wanted a gauge"),
    ("scrape: 5s", "limits: {memory: 512}", r":6: local\.limits\.memory: found 512, wanted a size such as 512MiB"),
    ("scrape: 5s", "limits: {cpu: 0}", r":6: local\.limits\.cpu: found 0, wanted a number of cores above 0"),
    ("deadline: 1h", "hooks: []", r":9: hooks: is not supported yet"),
    ("deadline: 1h", "controller: {image: x}", r":9: controller: is for Kubernetes"),
    ("deadline: 1h", "preflight: {secrets: true}", r":9: preflight\.secrets: is for Kubernetes"),
    ("deadline: 1h", "preflight: {exposure: 11}", r":9: preflight\.exposure: found 11, wanted a number from 0 to 10"),
    ("deadline: 1h", "preflight: {backup: {max_age: 0s}}", r":9: preflight\.backup\.max_age: found 0s, wanted a duration above 0s"),
    ("deadline: 1h", "preflight: {strikt: true}", r":9: preflight\.strikt: is not a known key; did you mean `preflight\.strict`|did you mean `strict`"),
    ("deadline: 1h", "preflight: {drill: {rto: 300}}", r":9: preflight\.drill\.rto: found 300, wanted a duration such as 300s"),
    ("deadline: 1h", "image: shop/core", r":9: image: is for Kubernetes"),
    ("deadline: 1h", "deadline: !!binary aGk=", r":9: deadline: found the tag"),
    ("deadline: 1h", "deadline: 2026-01-01", r":9: deadline: found 2026-01-01, wanted a duration"),
    ("deadline: 1h", "deadline: 1:30", r":9: deadline: found 1:30, wanted a duration"),
    ("deadline: 1h", "? [a, b]\n: 1", r":9: found a list as a key, wanted text"),
    ("deadline: 1h", "on_inconclusive: rolback", r":9: on_inconclusive: found rolback, wanted one of rollback, pause, promote; did you mean rollback\?"),
    ("deadline: 1h", "capacity: more", r":9: capacity: found more, wanted one of replace, extra"),
    ("deadline: 1h", "bake: soon", r":9: bake: found soon, wanted a duration"),
    ("[10, 25%, 50]", "[10, 10, 50]", r":7: steps\[1\]: found 10 after 10, wanted each step above the last"),
    ("[10, 25%, 50]", "[10, 100]", r":7: steps\[1\]: found 100, wanted a weight in % above 0 and below 100"),
    ("[10, 25%, 50]", "[]", r":7: steps: found an empty list, wanted at least 1 in it"),
    ("[10, 25%, 50]", "10", r":7: steps: found 10, wanted a list"),
    ("{min: 1m, max: 15m}", "1m", r":8: hold: found 1m, wanted a mapping"),
    ("{local: shop}", "{local: shop, deployment: x}", r":1: target\.deployment: is for Kubernetes"),
    ("{local: shop}", "{namespace: a, deployment: b}", r":2: local: describes a local service, but `target` names a Deployment"),
    ("{local: shop}", "{deployment: b}", r":2: local: describes a local service, but `target` names a Deployment"),
    ("{local: shop}", "{namespace: a}", r":1: target: wanted \{local: NAME\}"),
    ("{local: shop}", "{local: a/b}", r":1: target\.local: found a/b, wanted a name"),
    ("{local: shop}", "shop", r":1: target: found shop, wanted a mapping"),
    ("target: {local: shop}", "image: x", r":1: target: is missing, wanted: What is released to"),
    ('[serve, --port, "{port}", --version, "{version}"]', "serve --port {port}", r':3: local\.command: found serve --port \{port\}, wanted a list of words: \["serve", "--port", "\{port\}"\]'),
    ('--port, "{port}", ', "", r":3: local\.command: neither `command` nor `env` has \{port\} in it"),
    (', --version, "{version}"', "", r":3: local\.command: neither `command` nor `env` has \{version\} in it"),
    ("[serve, --port", "[serve, 80, --port", r":3: local\.command\[1\]: found 80, wanted text: put it in quotes"),
    ("[serve, --port", '["", --port', r":3: local\.command\[0\]: found no program"),
    ("version: v1", "version: 1.10", r":4: local\.version: found 1\.10, wanted text: put it in quotes"),
    ("replicas: 4", 'replicas: "4"', r':5: local\.replicas: found "4", wanted a whole number'),
    ("replicas: 4", "replicas: 4.5", r":5: local\.replicas: found 4\.5, wanted a whole number"),
    ("replicas: 4", "replicas: true", r":5: local\.replicas: found true, wanted a whole number"),
    ("replicas: 4", "replicas: 0", r":5: local\.replicas: found 0, wanted at least 1"),
    ("replicas: 4", "replicas: 9999", r":5: local\.replicas: found 9999, wanted at most 1000"),
    ("replicas: 4", "surge: 0", r":5: local\.surge: found 0, and `unavailable` is 0 too"),
    ("replicas: 4", "unavailable: 9", r":5: local\.unavailable: found 9, wanted at most `replicas`"),
    ("replicas: 4", "listen: 8080", r":5: local\.listen: found 8080, wanted host:port"),
    ("replicas: 4", "health: health", r":5: local\.health: found health, wanted a path that begins with /"),
    ("replicas: 4", "env: {DEBUG: 1}", r":5: local\.env\.DEBUG: found 1, wanted text: put it in quotes"),
    ("replicas: 4", "env: [a]", r":5: local\.env: found a list, wanted a mapping"),
    ("  version: v1\n", "", r":2: local\.version: is missing, wanted: What runs first"),
    ("interval: 15s", "interval: 1s", r":11: analysis\.interval: found 1s, wanted at least 5s \(`local\.scrape`\)"),
    ("interval: 15s", "false_rollback_rate: 1", r":11: analysis\.false_rollback_rate: found 1, wanted a rate above 0 and at most 0\.5"),
    ("interval: 15s", "exclude: {path: /health}", r":11: analysis\.exclude\.path: found /health, wanted a list"),
    ("interval: 15s", "source: {prometheus: {url: prom:9090}}", r":11: analysis\.source\.prometheus\.url: found prom:9090, wanted a URL"),
    ("interval: 15s", "source: {prometheus: {url: http://p, scrape_interval: 30s}}", r":10: analysis\.interval: found 15s, wanted at least 30s \(`analysis\.source\.prometheus\.scrape_interval`\)"),
    ("interval: 15s", "source: {}", r":11: analysis\.source: found none of them, wanted one of `prometheus`, `pods`"),
    ("interval: 15s", "source: {prometheus: {url: http://p}, pods: {port: 80}}", r":11: analysis\.source: found both, wanted one of"),
    ("interval: 15s", "source: {pods: {port: 8080}}", r":11: analysis\.source\.pods: is for Kubernetes: replicas of a local service are scraped in any case"),
    ("preset: http", "preset: htttp", r":14: analysis\.metrics\[0\]\.preset: found htttp, wanted one of http.*did you mean http\?"),
    ("tolerance: 10%", "tolerance: 0.1", r":15: analysis\.metrics\[0\]\.errors\.tolerance: found 0\.1, wanted a percentage such as 10%"),
    ("tolerance: 10%", "tolerance: 60%", r":15: analysis\.metrics\[0\]\.errors\.margin\.ratio: found 1\.5, wanted at least 1\.6"),
    ("abs: 0.5pp", "abs: 0.5%", r":15: analysis\.metrics\[0\]\.errors\.margin\.abs: found 0\.5%, wanted percentage points such as 0\.5pp: the difference"),
    ("ratio: 1.5", "ratio: 0.5", r":15: analysis\.metrics\[0\]\.errors\.margin\.ratio: found 0\.5, wanted a number of at least 1"),
    ("slower_than: 500ms", "slower_than: 500", r":16: analysis\.metrics\[0\]\.latency\.slower_than: found 500, wanted a duration such as 500s"),
    ("name: checkout\n", "preset: http\n", r":17: analysis\.metrics\[1\]: found `preset` and `ratio`, wanted one of"),
    ("name: checkout\n", "name: errors\n", r":17: analysis\.metrics\[1\]: a second metric is called `errors`"),
    ("- name: checkout\n      ratio", "- ratio", r":17: analysis\.metrics\[1\]: `name` is missing"),
    ("ratio: {bad: checkout_failed_total, all: checkout_total}", "tolerance: 1%", r":17: analysis\.metrics\[1\]: found none of them, wanted one of"),
    ("margin: {abs: 0.2pp}", "slower_than: 1s", r":19: analysis\.metrics\[1\]\.slower_than: does not go with `ratio`"),
    (", all: checkout_total", "", r":18: analysis\.metrics\[1\]\.ratio\.all: is missing, wanted: Series selector"),
]
"""What stands in GOOD, what takes its place, and a pattern of the fault's line."""
