"""The parts of `bench.fleet`: a force's day, what its docks say, how it is said, and who checks what came of it."""
