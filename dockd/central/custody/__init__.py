"""The account of custody for auditors: what every dock's facts tell of recordings, sessions and holders, differences
first, and the signed bundle that proves it without us."""
