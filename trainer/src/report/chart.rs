//! Lines over two axes, as SVG.

use std::fmt;

use super::html::escaped;

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 240.0;
/// Room for the axes' numbers: left, right, top, bottom.
const MARGINS: [f64; 4] = [52.0, 12.0, 10.0, 24.0];

/// One line of a chart.
pub(super) struct Line {
    name: &'static str,
    class: &'static str,
    points: Vec<(f64, f64)>,
}

impl Line {
    pub(super) fn new(name: &'static str, class: &'static str, points: Vec<(f64, f64)>) -> Self {
        Self { name, class, points }
    }
}

/// Lines over two axes.
pub(super) struct Chart<'a> {
    title: &'static str,
    lines: &'a [Line],
    x: (f64, f64),
    y: (f64, f64),
}

impl<'a> Chart<'a> {
    /// The axes hold all points.
    pub(super) fn new(title: &'static str, lines: &'a [Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let x = range(points().map(|(x, _)| *x));
        let y = range(points().map(|(_, y)| *y));
        Self { title, lines, x, y }
    }

    /// The axes hold these ranges.
    pub(super) fn within(self, x: (f64, f64), y: (f64, f64)) -> Self {
        Self { x, y, ..self }
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let [left, right, top, bottom] = MARGINS;
        let share = |value: f64, (from, to): (f64, f64)| (value - from) / (to - from);
        let across = left + share(x, self.x) * (WIDTH - left - right);
        (across, HEIGHT - bottom - share(y, self.y) * (HEIGHT - top - bottom))
    }
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MARKS: usize = 4;
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
        for mark in 0..=MARKS {
            let share = mark as f64 / MARKS as f64;
            let value = self.y.0 + share * (self.y.1 - self.y.0);
            let (left, height) = self.place((self.x.0, value));
            let (right, _) = self.place((self.x.1, value));
            write!(f, "<path class=\"grid\" d=\"M{left:.1} {height:.1}H{right:.1}\"/>")?;
            writeln!(
                f,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 6.0,
                height + 4.0,
                number(value)
            )?;
        }
        for (at, anchor) in [(self.x.0, "start"), (self.x.1, "end")] {
            let (across, _) = self.place((at, self.y.0));
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

/// As many digits as a mark needs.
fn number(value: f64) -> String {
    match value.abs() {
        // Steps and epochs.
        size if size.fract() == 0.0 => format!("{value:.0}"),
        size if size < 1e-3 => format!("{value:.1e}"),
        size if size < 10.0 => format!("{value:.3}"),
        _ => format!("{value:.0}"),
    }
}
