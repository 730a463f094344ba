//! Lines over two axes, as SVG.

use std::fmt;

use super::html::escaped;

/// As wide as a third of the page, so that its numbers are as large as they should be.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 190.0;
/// Room for the axes' numbers: left, right, top, bottom.
const MARGINS: [f64; 4] = [46.0, 10.0, 10.0, 22.0];

/// One line of a chart.
pub(super) struct Line<'a> {
    name: &'a str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

impl<'a> Line<'a> {
    pub(super) fn new(name: &'a str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, class, points }
    }
}

/// Lines over two axes.
pub(super) struct Chart<'a> {
    title: &'a str,
    lines: &'a [Line<'a>],
    x: (f64, f64),
    y: Axis,
}

/// An axis with round marks.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    from: f64,
    to: f64,
    step: f64,
}

impl<'a> Chart<'a> {
    /// The axes hold all points; marks are round numbers.
    pub(super) fn new(title: &'a str, lines: &'a [Line<'a>]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let x = range(points().map(|(x, _)| *x));
        let y = Axis::around(range(points().map(|(_, y)| *y)));
        Self { title, lines, x, y }
    }

    /// The axes hold these ranges.
    pub(super) fn within(self, x: (f64, f64), y: (f64, f64)) -> Self {
        Self { x, y: Axis::around(y), ..self }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [left, right, top, bottom] = MARGINS;
        let share = |value: f64, (from, to): (f64, f64)| (value - from) / (to - from);
        let across = left + share(x, self.x) * (WIDTH - left - right);
        let y = share(y, (self.y.from, self.y.to));
        (across, HEIGHT - bottom - y * (HEIGHT - top - bottom))
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<figure><figcaption>{}", escaped(self.title))?;
        for line in self.lines {
            write!(
                f,
                " <svg viewBox=\"0 0 24 8\" style=\"width: 24px\"><path class=\"line {}\" d=\"M0 4H24\"/></svg> {}",
                line.class,
                escaped(line.name)
            )?;
        }
        writeln!(
            f,
            "</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title)
        )?;
        for (value, shown) in self.y.marks() {
            let (left, height) = self.place((self.x.0, value));
            let (right, _) = self.place((self.x.1, value));
            write!(f, "<path class=\"grid\" d=\"M{left:.1} {height:.1}H{right:.1}\"/>")?;
            writeln!(
                f,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                height + 4.0,
                shown
            )?;
        }
        for (at, anchor) in [(self.x.0, "start"), (self.x.1, "end")] {
            let (across, _) = self.place((at, self.y.from));
            writeln!(
                f,
                "<text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - 6.0,
                number(at)
            )?;
        }
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            write!(f, "<path class=\"line {}\" d=\"", line.class)?;
            for (n, point) in line.points.iter().enumerate() {
                let (across, height) = self.place(*point);
                write!(f, "{}{across:.1} {height:.1}", if n == 0 { 'M' } else { 'L' })?;
            }
            writeln!(f, "\"/>")?;
            if line.points.len() <= 20 {
                for point in &line.points {
                    let (across, height) = self.place(*point);
                    write!(
                        f,
                        "<circle class=\"line {}\" cx=\"{across:.1}\" cy=\"{height:.1}\" r=\"2.5\"/>",
                        line.class
                    )?;
                }
            }
        }
        write!(f, "</svg></figure>")
    }
}

/// From the least to the largest value, and never without width.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, largest) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    match largest - least {
        width if width > 0.0 => (least, largest),
        0.0 => (least - 0.5, largest + 0.5),
        _ => (0.0, 1.0),
    }
}

impl Axis {
    /// A range that holds another one, from a multiple of a round step to another: 1, 2 or 5 times
    /// a power of ten.
    fn around((least, largest): (f64, f64)) -> Self {
        const MOST_STEPS: f64 = 5.0;
        let rough = (largest - least) / MOST_STEPS;
        let power = 10_f64.powf(rough.log10().floor());
        let round = [1.0, 2.0, 5.0].into_iter().find(|round| round * power >= rough);
        let step = round.unwrap_or(10.0) * power;
        // What differs from a multiple by less is one.
        let slack = step * 1e-9;
        let from = ((least + slack) / step).floor() * step;
        Self { from, to: ((largest - slack) / step).ceil() * step, step }
    }

    /// The multiples of the step, with as many digits as it has.
    fn marks(&self) -> Vec<(f64, String)> {
        let n_steps = ((self.to - self.from) / self.step).round() as usize;
        let n_digits = (-self.step.log10().floor()).max(0.0) as usize;
        let mark = |n: usize| {
            let value = self.from + n as f64 * self.step;
            // Neither -0 nor more zeros than anybody counts.
            let value = if value.abs() < self.step / 2.0 { 0.0 } else { value };
            let shown = match value {
                0.0 => "0".to_owned(),
                _ if n_digits > 4 => format!("{value:.0e}"),
                _ => format!("{value:.n_digits$}"),
            };
            (value, shown)
        };
        (0..=n_steps).map(mark).collect()
    }
}

/// A step, or an epoch.
fn number(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_hold_the_range() {
        let check = |from: f64, to: f64, expected: &str| {
            let axis = Axis::around((from, to));
            assert!(axis.from <= from && axis.to >= to, "{axis:?} holds {from} to {to}");
            let marks: Vec<String> = axis.marks().into_iter().map(|(_, shown)| shown).collect();
            assert_eq!(marks.join(" "), expected, "{from} to {to}");
        };
        check(0.0, 1.0, "0 0.2 0.4 0.6 0.8 1.0");
        check(0.6690, 0.7131, "0.66 0.67 0.68 0.69 0.70 0.71 0.72");
        check(0.0605, 0.71, "0 0.2 0.4 0.6 0.8");
        check(3.0, 300_681.0, "0 100000 200000 300000 400000");
        check(0.0, 5e-5, "0 1e-5 2e-5 3e-5 4e-5 5e-5");
        check(-0.5, 0.5, "-0.6 -0.4 -0.2 0 0.2 0.4 0.6");
    }
}
