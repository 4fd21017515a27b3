"""How the fleet is: fault history of bays and cameras, figures by hour and day, health, alerts and their messages.

`fold` says what facts amount to, `projecting` keeps it as facts and statuses arrive, `queries` answers pages and the
API, `observing` gathers what alerts are judged from, `evaluator` opens and closes them, `delivery` brings messages to
people. What is healthy and what is worth an alert is decided in `dockd.rules` (`faults`, `health`, `alerts`,
`alerting`). Nothing here is evidence and nothing here touches footage.
"""
