//! Against the curve crate and X25519 as the standard has it.

use std::vec::Vec;

use curve25519_dalek::{edwards::EdwardsPoint, montgomery::MontgomeryPoint, scalar::Scalar};
use rand_chacha::{
    ChaCha20Rng,
    rand_core::{Rng, SeedableRng},
};

use super::{
    edwards::{Comb, Point},
    field::Field,
    montgomery::ladder,
};

#[test]
fn numbers_are_reduced_when_written() {
    let mut modulus = [0xff; 32];
    (modulus[0], modulus[31]) = (0xed, 0x7f);
    for (written, value) in [(0, 0_u8), (1, 1), (18, 18)] {
        let mut bytes = modulus;
        bytes[0] += written;
        let mut small = [0; 32];
        small[0] = value;
        assert_eq!(Field::from_bytes(&bytes).to_bytes(), small);
        assert_eq!(Field::from_bytes(&small).to_bytes(), small);
        // The top bit does not count.
        small[31] |= 0x80;
        assert_eq!(Field::from_bytes(&small).to_bytes()[31], 0);
    }
    let mut below = modulus;
    below[0] -= 1;
    assert_eq!(Field::from_bytes(&below).to_bytes(), below);
    assert_eq!((-Field::ONE).to_bytes(), below);
    assert_eq!((Field::ZERO - Field::ONE - Field::ONE + Field::ONE).to_bytes(), below);
    assert_eq!((-Field::ZERO).to_bytes(), [0; 32]);
}

#[test]
fn arithmetic_keeps_its_laws_at_the_edges_of_the_limbs() {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    for round in 0..2000 {
        let [a, b, c] = [(); 3].map(|()| number(&mut rng, round));
        assert_eq!((a * (b + c)).to_bytes(), (a * b + a * c).to_bytes());
        assert_eq!((a * (b - c)).to_bytes(), (a * b - a * c).to_bytes());
        assert_eq!(((a + b) * (a - b)).to_bytes(), (a.square() - b.square()).to_bytes());
        assert_eq!((a * b).to_bytes(), (b * a).to_bytes());
        assert_eq!((a * b * c).to_bytes(), (a * (b * c)).to_bytes());
        assert_eq!(a.square().to_bytes(), (a * a).to_bytes());
        assert_eq!(a.square_doubled().to_bytes(), (a * a + a * a).to_bytes());
        assert_eq!(a.square_times(3).to_bytes(), a.square().square().square().to_bytes());
        assert_eq!(a.times_small(121_665).to_bytes(), (a * small(121_665)).to_bytes());
        assert_eq!(Field::from_bytes(&a.to_bytes()).to_bytes(), a.to_bytes());
        if a.to_bytes() != [0; 32] {
            assert_eq!((a * a.invert()).to_bytes(), Field::ONE.to_bytes());
        }
        let (mut x, mut y) = (a, b);
        Field::swap_if(&mut x, &mut y, 0);
        assert_eq!((x.0, y.0), (a.0, b.0));
        Field::swap_if(&mut x, &mut y, 1);
        assert_eq!((x.0, y.0), (b.0, a.0));
    }
    assert_eq!(Field::ZERO.invert().to_bytes(), [0; 32]);
    assert_eq!(Field::SQRT_MINUS_ONE.square().to_bytes(), (-Field::ONE).to_bytes());
    assert_eq!((Field::D * small(121_666)).to_bytes(), (-small(121_665)).to_bytes());
    assert_eq!(Field::D2.to_bytes(), (Field::D + Field::D).to_bytes());
}

/// Limbs as large as the sum of three products may have them survive a multiplication.
#[test]
fn factors_may_be_sums_of_three() {
    for sign in [1, -1] {
        let largest =
            Field([0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(|i| sign * if i % 2 == 0 { 110_729_625 } else { 55_364_812 }));
        let same = Field::from_bytes(&largest.to_bytes());
        assert_eq!((largest * largest).to_bytes(), (same * same).to_bytes());
        assert_eq!(largest.square().to_bytes(), same.square().to_bytes());
        assert_eq!(largest.square_doubled().to_bytes(), (same.square() + same.square()).to_bytes());
    }
}

#[test]
fn roots_are_roots() {
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let mut found = 0;
    for round in 0..400 {
        let [numerator, denominator] = [(); 2].map(|()| number(&mut rng, round));
        if let Some(root) = Field::root_of_ratio(numerator, denominator) {
            assert_eq!((root.square() * denominator).to_bytes(), numerator.to_bytes());
            found += 1;
        }
    }
    assert!((100..=300).contains(&found), "about half of all numbers are squares, {found} of 400 were");
}

#[test]
fn the_ladder_is_x25519() {
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let special = [0, 1, 2, 9, 0xec, 0xed, 0xee, 0xff].map(|low| {
        let mut u = [if low > 0xe0 { 0xff } else { 0 }; 32];
        u[0] = low;
        u
    });
    for round in 0..100 {
        // About half of these are on the twist.
        let u = *special.get(round).unwrap_or(&bytes(&mut rng));
        let mut secret = bytes(&mut rng);
        assert_eq!(ladder(&u, &eighth(&secret)), x25519_dalek::x25519(secret, u));
        secret.fill(0xff);
        assert_eq!(ladder(&u, &eighth(&secret)), x25519_dalek::x25519(secret, u));
    }
}

#[test]
fn tables_multiply_as_the_curve_crate_does() {
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    for _ in 0..8 {
        let point = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(bytes(&mut rng)));
        let u = point.to_montgomery();
        let ours = Point::from_u(u.as_bytes()).unwrap();
        let (one, eight, many) = (Comb::<1>::new(ours), Comb::<8>::new(ours), Comb::<64>::new(ours));
        let edges = [Scalar::ZERO, Scalar::ONE, -Scalar::ONE, Scalar::from(8_u8), Scalar::from(0x88_88_88_88_u32)];
        let random: Vec<_> = (0..16).map(|_| Scalar::from_bytes_mod_order(bytes(&mut rng))).collect();
        for scalar in edges.iter().chain(&random) {
            let expected = (point * scalar).to_montgomery().to_bytes();
            for multiple in
                [one.multiply(scalar.as_bytes()), eight.multiply(scalar.as_bytes()), many.multiply(scalar.as_bytes())]
            {
                assert_eq!(multiple.to_u(), expected);
            }
            assert_eq!(
                ladder(u.as_bytes(), scalar.as_bytes()),
                (point * scalar).mul_by_cofactor().to_montgomery().to_bytes()
            );
        }
    }
}

#[test]
fn points_are_found_where_the_curve_crate_finds_them() {
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut on_curve = 0;
    for _ in 0..200 {
        let u = bytes(&mut rng);
        let theirs = MontgomeryPoint(u).to_edwards(0);
        let ours = Point::from_u(&u);
        assert_eq!(ours.is_some(), theirs.is_some());
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            assert_eq!(ours.to_u(), theirs.to_montgomery().to_bytes());
            assert_eq!(ours.double_times(3).to_u(), theirs.mul_by_cofactor().to_montgomery().to_bytes());
            on_curve += 1;
        }
    }
    assert!((60..=140).contains(&on_curve));
    // -1 belongs to the twist, and its y would have a denominator of zero.
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    assert!(Point::from_u(&minus_one).is_none());
}

fn bytes(rng: &mut ChaCha20Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

/// Random numbers, with runs of ones and zeros in every other round.
fn number(rng: &mut ChaCha20Rng, round: usize) -> Field {
    let mut number = bytes(rng);
    if round % 2 == 1 {
        for byte in &mut number {
            *byte = if *byte & 4 == 0 { 0 } else { 0xff };
        }
    }
    Field::from_bytes(&number)
}

fn small(value: i32) -> Field {
    Field::ONE.times_small(value)
}

/// An eighth of what X25519 makes of a secret.
fn eighth(secret: &[u8; 32]) -> [u8; 32] {
    let mut bytes = curve25519_dalek::scalar::clamp_integer(*secret);
    for i in 0..32 {
        bytes[i] = bytes[i] >> 3 | bytes.get(i + 1).map_or(0, |next| next << 5);
    }
    bytes
}
