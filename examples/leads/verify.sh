#!/bin/sh
# What the plan of this system calls its verification, step by step. It needs DATABASE_URL, and the world; see README.md.
set -eu
cd "$(dirname "$0")"
pawl="${PAWL:-npx pawl}"
leads="node --import tsx leads.ts"

$leads setup
echo "== 1. messages, handlers and queues"
$pawl tasks kinds
echo "== 2. one lead is dispatched, then the others: the page of one of them is gone"
$leads lead:analyze --async --limit 1
$leads lead:analyze --async
echo "== 3. figures of the queues"
$pawl stats
echo "== 4. a worker, until nothing is left"
$pawl work --queues high,normal,low --until-idle
echo "== 5. what failed for good, and how it is retried"
$pawl dead list
$pawl dead retry --all --filter 'kind:analyze-* err:gone' --why "tried again by verify.sh"
