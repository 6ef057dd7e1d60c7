//! Numbers modulo 2^255 - 19, in constant time.
//!
//! Ten signed limbs of alternately 26 and 25 bits: the product of two limbs and their sums fit 64 bits, which is what
//! WebAssembly multiplies in one instruction. Sums and differences are not carried; see [`Field`] for how much room that
//! leaves.

use core::hint::black_box;
use core::ops::{Add, Mul, Neg, Sub};

use zeroize::Zeroize;

/// A number modulo 2^255 - 19: the sum of `limb[i] * 2^ceil(25.5 * i)`.
///
/// What was read, a product or a square has limbs below 1.01 * 2^25 (even ones) and 1.01 * 2^24 (odd ones) in magnitude. A factor may have
/// limbs up to 1.65 * 2^26 and 1.65 * 2^25: the sum or difference of up to three products.
#[derive(Clone, Copy)]
pub struct Field(pub [i32; 10]);

impl Field {
    /// Zero.
    pub const ZERO: Self = Self([0; 10]);
    /// One.
    pub const ONE: Self = Self([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    /// The constant d of the twisted Edwards curve, -121665/121666.
    pub const D: Self = Self([
        56_195_235, 13_857_412, 51_736_253, 6_949_390, 114_729, 24_766_616, 60_832_955, 30_306_712, 48_412_415,
        21_499_315,
    ]);
    /// Twice d.
    pub const D2: Self = Self([
        45_281_625, 27_714_825, 36_363_642, 13_898_781, 229_458, 15_978_800, 54_557_047, 27_058_993, 29_715_967,
        9_444_199,
    ]);
    /// A square root of minus one.
    pub const SQRT_MINUS_ONE: Self = Self([
        34_513_072, 25_610_706, 9_377_949, 3_500_415, 12_389_472, 33_281_959, 41_962_654, 31_548_777, 326_685,
        11_406_482,
    ]);

    /// Reads 32 little-endian bytes; the top bit is ignored, numbers not below the modulus are reduced.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| u64::from_le_bytes(words[i]));
        let even = |bits: u64| (bits & (LIMB_EVEN - 1)) as i32;
        let odd = |bits: u64| (bits & (LIMB_ODD - 1)) as i32;
        Self([
            even(a),
            odd(a >> 26),
            even(a >> 51 | b << 13),
            odd(b >> 13),
            even(b >> 38),
            odd(c),
            even(c >> 25),
            odd(c >> 51 | d << 13),
            even(d >> 12),
            odd(d >> 38),
        ])
        .carried()
    }

    /// The 32 little-endian bytes of the number between zero and the modulus.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut h = self.carried().0;
        // How often the modulus fits in: once, minus once or not at all. The quotient is the carry out of the top when
        // 19 is added to the bottom.
        let mut quotient = (19 * h[9] + (1 << 24)) >> 25;
        for (i, limb) in h.iter().enumerate() {
            quotient = (limb + quotient) >> bits(i);
        }
        h[0] += 19 * quotient;
        for i in 0..9 {
            let carry = h[i] >> bits(i);
            h[i + 1] += carry;
            h[i] -= carry << bits(i);
        }
        // The carry out of the top is the modulus that was taken away.
        h[9] &= LIMB_ODD as i32 - 1;
        let [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9] = h.map(|limb| limb as u64);
        let words = [
            h0 | h1 << 26 | h2 << 51,
            h2 >> 13 | h3 << 13 | h4 << 38,
            h5 | h6 << 25 | h7 << 51,
            h7 >> 13 | h8 << 12 | h9 << 38,
        ];
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// The square.
    #[inline(never)]
    pub fn square(self) -> Self {
        reduce(square_limbs(&self))
    }

    /// The square of the square and so on, `times` in all.
    #[inline(never)]
    pub fn square_times(self, times: usize) -> Self {
        let mut result = self;
        for _ in 0..times {
            result = reduce(square_limbs(&result));
        }
        result
    }

    /// Twice the square.
    #[inline(never)]
    pub fn square_doubled(self) -> Self {
        reduce(square_limbs(&self).map(|limb| 2 * limb))
    }

    /// The product with a small number.
    pub fn times_small(self, factor: i32) -> Self {
        reduce(self.0.map(|limb| m(limb, factor)))
    }

    /// The inverse; of zero, zero.
    pub fn invert(self) -> Self {
        // The number to the power of 2^255 - 21.
        let (to_250, to_11) = self.power_chain();
        to_250.square_times(5) * to_11
    }

    /// The number to the power of 2^252 - 3, which square roots are made of.
    fn power_for_root(self) -> Self {
        let (to_250, _) = self.power_chain();
        to_250.square_times(2) * self
    }

    /// The number to the powers of 2^250 - 1 and 11.
    fn power_chain(self) -> (Self, Self) {
        let to_2 = self.square();
        let to_9 = to_2.square_times(2) * self;
        let to_11 = to_9 * to_2;
        let ones_5 = to_11.square() * to_9;
        let ones_10 = ones_5.square_times(5) * ones_5;
        let ones_20 = ones_10.square_times(10) * ones_10;
        let ones_40 = ones_20.square_times(20) * ones_20;
        let ones_50 = ones_40.square_times(10) * ones_10;
        let ones_100 = ones_50.square_times(50) * ones_50;
        let ones_200 = ones_100.square_times(100) * ones_100;
        (ones_200.square_times(50) * ones_50, to_11)
    }

    /// A square root of `numerator / denominator`, when there is one. Not in constant time: for public numbers.
    pub fn root_of_ratio(numerator: Self, denominator: Self) -> Option<Self> {
        let cube = denominator.square() * denominator;
        let seventh = cube.square() * denominator;
        let root = numerator * cube * (numerator * seventh).power_for_root();
        let check = (denominator * root.square()).to_bytes();
        if check == numerator.to_bytes() {
            Some(root)
        } else if check == (-numerator).to_bytes() {
            Some(root * Self::SQRT_MINUS_ONE)
        } else {
            None
        }
    }

    /// Exchanges two numbers when `bit` is one, not when it is zero.
    pub fn swap_if(a: &mut Self, b: &mut Self, bit: u8) {
        let mask = mask(bit);
        for (a, b) in a.0.iter_mut().zip(&mut b.0) {
            let difference = mask & (*a ^ *b);
            *a ^= difference;
            *b ^= difference;
        }
    }

    /// Limbs as small as those of a product.
    fn carried(self) -> Self {
        reduce(self.0.map(i64::from))
    }
}

impl Mul for Field {
    type Output = Self;

    #[inline(never)]
    fn mul(self, other: Self) -> Self {
        reduce(product_limbs(&self, &other))
    }
}

impl Add for Field {
    type Output = Self;

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        let mut sum = self;
        for (a, b) in sum.0.iter_mut().zip(&other.0) {
            *a += b;
        }
        sum
    }
}

impl Sub for Field {
    type Output = Self;

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        let mut difference = self;
        for (a, b) in difference.0.iter_mut().zip(&other.0) {
            *a -= b;
        }
        difference
    }
}

impl Neg for Field {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.map(|limb| -limb))
    }
}

impl Zeroize for Field {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// All ones when `bit` is one, zero when it is zero. The compiler must not know which, or it would make a branch of it.
pub fn mask(bit: u8) -> i32 {
    black_box(-i32::from(bit))
}

/// The limbs of a product before carrying. A product of two odd limbs is counted twice since their places are rounded up;
/// what goes beyond 2^255 comes back times 19.
#[rustfmt::skip]
#[inline(always)]
fn product_limbs(f: &Field, g: &Field) -> [i64; 10] {
    let Field([f0, f1, f2, f3, f4, f5, f6, f7, f8, f9]) = *f;
    let Field([g0, g1, g2, g3, g4, g5, g6, g7, g8, g9]) = *g;
    let (f1_2, f3_2, f5_2, f7_2, f9_2) = (2 * f1, 2 * f3, 2 * f5, 2 * f7, 2 * f9);
    let (g1_19, g2_19, g3_19, g4_19, g5_19) = (19 * g1, 19 * g2, 19 * g3, 19 * g4, 19 * g5);
    let (g6_19, g7_19, g8_19, g9_19) = (19 * g6, 19 * g7, 19 * g8, 19 * g9);
    [
        m(f0, g0) + m(f1_2, g9_19) + m(f2, g8_19) + m(f3_2, g7_19) + m(f4, g6_19) + m(f5_2, g5_19) + m(f6, g4_19) + m(f7_2, g3_19) + m(f8, g2_19) + m(f9_2, g1_19),
        m(f0, g1) + m(f1, g0) + m(f2, g9_19) + m(f3, g8_19) + m(f4, g7_19) + m(f5, g6_19) + m(f6, g5_19) + m(f7, g4_19) + m(f8, g3_19) + m(f9, g2_19),
        m(f0, g2) + m(f1_2, g1) + m(f2, g0) + m(f3_2, g9_19) + m(f4, g8_19) + m(f5_2, g7_19) + m(f6, g6_19) + m(f7_2, g5_19) + m(f8, g4_19) + m(f9_2, g3_19),
        m(f0, g3) + m(f1, g2) + m(f2, g1) + m(f3, g0) + m(f4, g9_19) + m(f5, g8_19) + m(f6, g7_19) + m(f7, g6_19) + m(f8, g5_19) + m(f9, g4_19),
        m(f0, g4) + m(f1_2, g3) + m(f2, g2) + m(f3_2, g1) + m(f4, g0) + m(f5_2, g9_19) + m(f6, g8_19) + m(f7_2, g7_19) + m(f8, g6_19) + m(f9_2, g5_19),
        m(f0, g5) + m(f1, g4) + m(f2, g3) + m(f3, g2) + m(f4, g1) + m(f5, g0) + m(f6, g9_19) + m(f7, g8_19) + m(f8, g7_19) + m(f9, g6_19),
        m(f0, g6) + m(f1_2, g5) + m(f2, g4) + m(f3_2, g3) + m(f4, g2) + m(f5_2, g1) + m(f6, g0) + m(f7_2, g9_19) + m(f8, g8_19) + m(f9_2, g7_19),
        m(f0, g7) + m(f1, g6) + m(f2, g5) + m(f3, g4) + m(f4, g3) + m(f5, g2) + m(f6, g1) + m(f7, g0) + m(f8, g9_19) + m(f9, g8_19),
        m(f0, g8) + m(f1_2, g7) + m(f2, g6) + m(f3_2, g5) + m(f4, g4) + m(f5_2, g3) + m(f6, g2) + m(f7_2, g1) + m(f8, g0) + m(f9_2, g9_19),
        m(f0, g9) + m(f1, g8) + m(f2, g7) + m(f3, g6) + m(f4, g5) + m(f5, g4) + m(f6, g3) + m(f7, g2) + m(f8, g1) + m(f9, g0),
    ]
}

/// The limbs of a square before carrying: [`product_limbs`] with equal products taken together.
#[rustfmt::skip]
#[inline(always)]
fn square_limbs(f: &Field) -> [i64; 10] {
    let Field([f0, f1, f2, f3, f4, f5, f6, f7, f8, f9]) = *f;
    let (f0_2, f1_2, f2_2, f3_2, f4_2) = (2 * f0, 2 * f1, 2 * f2, 2 * f3, 2 * f4);
    let (f5_2, f6_2, f7_2, f8_2) = (2 * f5, 2 * f6, 2 * f7, 2 * f8);
    let (f5_38, f6_19, f7_38, f7_19, f8_19) = (38 * f5, 19 * f6, 38 * f7, 19 * f7, 19 * f8);
    let (f9_38, f9_19) = (38 * f9, 19 * f9);
    [
        m(f0, f0) + m(f1_2, f9_38) + m(f2_2, f8_19) + m(f3_2, f7_38) + m(f4_2, f6_19) + m(f5, f5_38),
        m(f0_2, f1) + m(f2_2, f9_19) + m(f3_2, f8_19) + m(f4_2, f7_19) + m(f5_2, f6_19),
        m(f0_2, f2) + m(f1_2, f1) + m(f3_2, f9_38) + m(f4_2, f8_19) + m(f5_2, f7_38) + m(f6, f6_19),
        m(f0_2, f3) + m(f1_2, f2) + m(f4_2, f9_19) + m(f5_2, f8_19) + m(f6_2, f7_19),
        m(f0_2, f4) + m(f1_2, f3_2) + m(f2, f2) + m(f5_2, f9_38) + m(f6_2, f8_19) + m(f7, f7_38),
        m(f0_2, f5) + m(f1_2, f4) + m(f2_2, f3) + m(f6_2, f9_19) + m(f7_2, f8_19),
        m(f0_2, f6) + m(f1_2, f5_2) + m(f2_2, f4) + m(f3_2, f3) + m(f7_2, f9_38) + m(f8, f8_19),
        m(f0_2, f7) + m(f1_2, f6) + m(f2_2, f5) + m(f3_2, f4) + m(f8_2, f9_19),
        m(f0_2, f8) + m(f1_2, f7_2) + m(f2_2, f6) + m(f3_2, f5_2) + m(f4, f4) + m(f9, f9_38),
        m(f0_2, f9) + m(f1_2, f8) + m(f2_2, f7) + m(f3_2, f6) + m(f4_2, f5),
    ]
}

#[inline(always)]
fn m(a: i32, b: i32) -> i64 {
    i64::from(a) * i64::from(b)
}

/// Carries until all limbs are small. Two carries run side by side, one from the bottom and one from the middle.
#[inline(always)]
fn reduce(mut h: [i64; 10]) -> Field {
    for i in [0, 4, 1, 5, 2, 6, 3, 7, 4, 8] {
        carry(&mut h, i, i + 1, 1);
    }
    carry(&mut h, 9, 0, 19);
    carry(&mut h, 0, 1, 1);
    Field(h.map(|limb| limb as i32))
}

/// Moves what rounding to the nearest leaves over from one limb to the next.
#[inline(always)]
fn carry(h: &mut [i64; 10], from: usize, to: usize, factor: i64) {
    let carry = (h[from] + (1 << (bits(from) - 1))) >> bits(from);
    h[to] += carry * factor;
    h[from] -= carry << bits(from);
}

/// How many bits limb `i` has.
#[inline(always)]
const fn bits(i: usize) -> u32 {
    26 - (i % 2) as u32
}

const LIMB_EVEN: u64 = 1 << 26;
const LIMB_ODD: u64 = 1 << 25;
