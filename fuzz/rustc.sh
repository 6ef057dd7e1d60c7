#!/bin/sh
# Compiles the crates that only compute without coverage and without checks: they are no parsers, take ten times as long
# with them, and what they do is tested elsewhere. For RUSTC_WRAPPER.
rustc=$1
shift
name=
previous=
for arg in "$@"; do
  [ "$previous" = --crate-name ] && name=$arg
  previous=$arg
done
case $name in
  aes | aes_gcm_siv | blake2 | blake3 | block_buffer | chacha20 | chacha20poly1305 | cipher | cpubits | cpufeatures | ctr | \
    curve25519_dalek | digest | ed25519_dalek | hkdf | hmac | hybrid_array | inout | mixlet_curve | poly1305 | polyval | \
    mixlet_ciphers | rand_chacha | sha2 | subtle | universal_hash | x25519_dalek | zeroize)
    count=$#
    while [ "$count" -gt 0 ]; do
      arg=$1
      shift
      case $arg in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-* | -Cdebug-assertions) ;;
        *) set -- "$@" "$arg" ;;
      esac
      count=$((count - 1))
    done
    ;;
esac
exec "$rustc" "$@"
