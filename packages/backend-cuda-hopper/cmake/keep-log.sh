#!/bin/sh
# keep-log.sh COMPILER…: compiles, and keeps what the compiler says beside the object, where check-kernels.mjs reads it.
object=
previous=
for argument in "$@"; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
"$@" 2>"$object.log"
status=$?
[ "$status" -eq 0 ] || cat "$object.log" >&2
exit "$status"
