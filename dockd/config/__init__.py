"""The configuration files: what a dock is told (`dock`) and what a centre is told (`central`), read and written."""
