#!/bin/sh
# Packs a release archive: the program, man pages, completions and licenses.
#
#   scripts/archive.sh BINARY TARGET [FOLDER]
#
# BINARY must run on this machine. Writes FOLDER/crew-VERSION-TARGET.tar.gz (default: dist) and
# prints its path.
set -eu
binary=$1 target=$2 folder=${3:-dist}
cd "$(dirname "$0")/.."
version=$("$binary" --version | cut -d ' ' -f 2)
name=crew-$version-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/$name
mkdir -p "$root/completions" "$root/man" "$folder"
cp "$binary" "$root/crew"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$root/"
"$binary" man > "$root/man/crew.1"
# The names of the subcommands, as --help lists them.
"$binary" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\)  .*/\1/p' | while read -r command; do
  [ "$command" = help ] || "$binary" man "$command" > "$root/man/crew-$command.1"
done
"$binary" completions bash > "$root/completions/crew.bash"
"$binary" completions zsh > "$root/completions/_crew"
"$binary" completions fish > "$root/completions/crew.fish"
tar -czf "$folder/$name.tar.gz" -C "$work" "$name"
echo "$folder/$name.tar.gz"
