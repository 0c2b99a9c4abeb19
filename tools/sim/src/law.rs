//! Laws of service times.

use base_kit::Rng;

/// How service times are spread, in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Law {
    /// Always this.
    Constant(f64),
    /// Exponential with this mean.
    Exponential(f64),
    /// Normal with this mean and standard deviation, given that it is above zero.
    TruncatedNormal { mean: f64, deviation: f64 },
    /// Pareto, bounded.
    Pareto { shape: f64, min: f64, max: f64 },
    /// These, over and over; not empty.
    Replay(Vec<f64>),
}

impl Law {
    /// The mean.
    pub(crate) fn mean(&self) -> f64 {
        match self {
            Self::Constant(mean) | Self::Exponential(mean) => *mean,
            Self::TruncatedNormal { mean, deviation } => truncated_normal_mean(*mean, *deviation),
            Self::Pareto { shape, min, max } => pareto_mean(*shape, *min, *max),
            Self::Replay(times) => times.iter().sum::<f64>() / times.len().max(1) as f64,
        }
    }

    /// The time of the request of this number.
    pub(crate) fn draw(&self, number: u64, rng: &mut dyn Rng) -> f64 {
        match self {
            Self::Constant(time) => *time,
            Self::Exponential(mean) => exponential(*mean, rng),
            Self::TruncatedNormal { mean, deviation } => truncated_normal(*mean, *deviation, rng),
            Self::Pareto { shape, min, max } => {
                // The inverse of the distribution function.
                let cut = 1.0 - (min / max).powf(*shape);
                min / (1.0 - rng.unit() * cut).powf(1.0 / shape)
            }
            Self::Replay(times) => {
                let index = number % times.len().max(1) as u64;
                usize::try_from(index).ok().and_then(|index| times.get(index)).copied().unwrap_or_default()
            }
        }
    }
}

/// A number of the exponential law with this mean.
pub(crate) fn exponential(mean: f64, rng: &mut dyn Rng) -> f64 {
    // 1 − unit is in (0, 1]: its logarithm exists.
    -mean * (1.0 - rng.unit()).ln()
}

/// By rejection. The mean is not negative, so at least every second number is above zero.
fn truncated_normal(mean: f64, deviation: f64, rng: &mut dyn Rng) -> f64 {
    loop {
        let drawn = mean + deviation * standard_normal(rng);
        if drawn > 0.0 {
            return drawn;
        }
    }
}

/// The polar method (Marsaglia and Bray, 1964); its second number is not kept.
fn standard_normal(rng: &mut dyn Rng) -> f64 {
    loop {
        let (x, y) = (2.0 * rng.unit() - 1.0, 2.0 * rng.unit() - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

/// The integral of x·φ over that of φ above zero, both by the rule of the trapezium: the sums share their factors.
fn truncated_normal_mean(mean: f64, deviation: f64) -> f64 {
    /// Fine enough for six digits.
    const STEPS: u32 = 20_000;
    /// Standard deviations beyond which nothing is left.
    const REACH: f64 = 10.0;
    if deviation <= 0.0 {
        return mean;
    }
    let low = (mean - REACH * deviation).max(0.0);
    let step = (mean + REACH * deviation - low) / f64::from(STEPS);
    let (mut moment, mut mass) = (0.0, 0.0);
    for number in 0..=STEPS {
        let x = low + f64::from(number) * step;
        let edge = if number == 0 || number == STEPS { 0.5 } else { 1.0 };
        let density = edge * (-0.5 * ((x - mean) / deviation).powi(2)).exp();
        moment += x * density;
        mass += density;
    }
    moment / mass
}

fn pareto_mean(shape: f64, min: f64, max: f64) -> f64 {
    // Nearly 1 is taken for 1, where the general form divides zero by zero.
    let below = 1.0 - (min / max).powf(shape);
    if (shape - 1.0).abs() < 1e-9 {
        return min * (max / min).ln() / below;
    }
    min.powf(shape) / below * shape / (shape - 1.0) * (min.powf(1.0 - shape) - max.powf(1.0 - shape))
}

#[cfg(test)]
mod tests {
    use base_kit::SeededRng;

    use super::*;

    #[test]
    fn what_is_drawn_has_the_mean_that_is_said() {
        let laws = [
            Law::Constant(7.0),
            Law::Exponential(10.0),
            Law::TruncatedNormal { mean: 10.0, deviation: 10.0 },
            Law::TruncatedNormal { mean: 10.0, deviation: 1.0 },
            Law::Pareto { shape: 1.5, min: 1.0, max: 100.0 },
            Law::Pareto { shape: 1.0, min: 1.0, max: 100.0 },
            Law::Replay(vec![1.0, 2.0, 6.0]),
        ];
        let mut rng = SeededRng::new(1);
        for law in laws {
            let count = 300_000;
            let drawn: Vec<f64> = (0..count).map(|number| law.draw(number, &mut rng)).collect();
            let mean = drawn.iter().sum::<f64>() / count as f64;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64;
            // Four standard errors: one run in 16,000 would be outside.
            let margin = 4.0 * (variance / count as f64).sqrt() + 1e-6 * mean;
            assert!((mean - law.mean()).abs() <= margin, "{law:?}: {mean} ± {margin}, not {}", law.mean());
            assert!(drawn.iter().all(|&x| x > 0.0), "{law:?}");
        }
    }

    #[test]
    fn the_bounds_of_pareto_hold() {
        let law = Law::Pareto { shape: 0.5, min: 2.0, max: 5.0 };
        let mut rng = SeededRng::new(2);
        assert!((0..10_000).map(|number| law.draw(number, &mut rng)).all(|x| (2.0..=5.0).contains(&x)));
    }

    #[test]
    fn known_means() {
        // 10·(1 + φ(1)/Φ(1)).
        let mean = Law::TruncatedNormal { mean: 10.0, deviation: 10.0 }.mean();
        assert!((mean - 12.875_999).abs() < 1e-3, "{mean}");
        // min·max/(max − min)·ln(max/min).
        let mean = Law::Pareto { shape: 1.0, min: 1.0, max: 2.0 }.mean();
        assert!((mean - 2.0 * 2.0_f64.ln()).abs() < 1e-6, "{mean}");
    }
}
