#!/bin/sh
# From nothing to an audit of a model of implicit on an own CSV, by the commands of README, with a clock.
#     sh benchmarks/newcomer.sh U_DATA      # U_DATA: u.data of MovieLens-100K, whose rows become that CSV
# Clone, environment and results are made in a folder of their own, which is removed at the end; the report is printed.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
ratings=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
begin=$(date +%s)

step() {
    echo
    echo "[$(($(date +%s) - begin)) s] $*"
    "$@"
}

uname -srm
nproc
uptime
cd "$folder"
step git clone --quiet "$source" sharpap
cd sharpap
git log -1 --format='revision %h'
awk 'BEGIN {print "Kundennr;Artikelnr;Sterne;bewertet am"} {printf "K-%05d;A%06d;%s;%s\n", $1, $2, $3, $4}' "$ratings" > mine.csv
step python3 -m venv .venv
. .venv/bin/activate
step pip install --quiet --disable-pip-version-check -e '.[implicit]' -c constraints.txt
step sharpap data inspect mine.csv
step sharpap audit implicit.als:AlternatingLeastSquares --data mine.csv --set victim.regularization=10 --quiet
echo
echo "[$(($(date +%s) - begin)) s] done"
