#!/bin/sh
# Builds a wheel of crew in dist/, so that `pip`, `pipx` and `uvx` can install the program.
#
#   scripts/wheel.sh [OPTION OF MATURIN…]
#
# On Linux the wheel runs on glibc 2.17 and newer: zig links it. Further options go to maturin, for
# example `--target x86_64-unknown-linux-musl`. Needs Python 3 with venv, and Rust.
set -eu
cd "$(dirname "$0")/.."
venv=target/wheel-venv
if [ ! -x "$venv/bin/maturin" ]; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check 'maturin>=1.9,<2' ziglang
fi
case "$(uname -s) $*" in
  Linux*-linux-musl*) set -- --zig --compatibility musllinux_1_2 "$@" ;;
  Linux*) set -- --zig --compatibility manylinux2014 "$@" ;;
esac
# maturin looks for zig's Python package in the venv.
PATH=$PWD/$venv/bin:$PATH maturin build --locked --out dist "$@"
