"""Places, people, devices: what a force brings to the centre as lists, and how far its rollout is.

`rows` says what a line of each list is, `csv_lines` reads a file line by line (both pure), `importing` compares
and writes in one transaction, `whereabouts` keeps where each camera is as the facts tell it, `rollout` counts.
Nothing here knows HTTP or pages, and nothing here touches footage, custody, retention or holds.
"""
