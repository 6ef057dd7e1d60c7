//! Whether gaps come from an exponential distribution.

/// The statistics of a sample against the exponential distribution with a given mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Pearson's chi-square over [`CELL_COUNT`] cells of equal probability.
    pub chi_square: f64,
    /// The Kolmogorov-Smirnov distance times the root of the sample's size.
    pub kolmogorov: f64,
}

impl Fit {
    /// How well these gaps fit the mean, both in the same unit.
    ///
    /// # Panics
    /// On an empty sample.
    pub fn exponential(gaps: &[f64], mean: f64) -> Self {
        assert!(!gaps.is_empty(), "a sample");
        let count = gaps.len() as f64;
        // Each gap as the probability of a shorter one: uniform between 0 and 1 if the distribution is right.
        let mut uniform: Vec<f64> = gaps.iter().map(|gap| 1.0 - (-gap / mean).exp()).collect();
        uniform.sort_unstable_by(f64::total_cmp);
        let mut cells = [0.0; CELL_COUNT];
        for value in &uniform {
            cells[((value * CELL_COUNT as f64) as usize).min(CELL_COUNT - 1)] += 1.0;
        }
        let expected = count / CELL_COUNT as f64;
        let chi_square = cells.iter().map(|cell: &f64| (cell - expected).powi(2) / expected).sum();
        let distance = (0..).zip(&uniform).map(|(place, value)| {
            let (below, above) = (f64::from(place) / count, f64::from(place + 1) / count);
            (value - below).abs().max((above - value).abs())
        });
        Self { chi_square, kolmogorov: distance.fold(0.0, f64::max) * count.sqrt() }
    }

    /// Whether the chi-square test does not refuse the sample at a level of 10⁻³.
    pub fn passes_chi_square(&self) -> bool {
        self.chi_square < CHI_SQUARE_MAX
    }

    /// Whether the test of Kolmogorov and Smirnov does not refuse the sample at a level of 10⁻³.
    pub fn passes_kolmogorov(&self) -> bool {
        self.kolmogorov < KOLMOGOROV_MAX
    }
}

/// Cells of the chi-square test.
pub const CELL_COUNT: usize = 50;
/// The upper 10⁻³ quantile of chi-square with 49 degrees of freedom.
const CHI_SQUARE_MAX: f64 = 85.35;
/// The upper 10⁻³ quantile of Kolmogorov's distribution.
const KOLMOGOROV_MAX: f64 = 1.9495;
