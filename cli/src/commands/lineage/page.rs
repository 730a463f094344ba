//! The way as one page with a picture: HTML and SVG, nothing from elsewhere.

use std::fmt::Write as _;

use super::fact::{Fact, Standing};

/// Of a box in the picture, in pixels.
const WIDTH: usize = 250;
const HEIGHT: usize = 58;
const GAP: usize = 46;
/// Characters of a name that a box has room for.
const SHOWN: usize = 34;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--line:#8a94a0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--paper:#16191d;--line:#8a94a0}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:2rem auto;max-width:75rem;padding:0 1rem}\
figure{margin:0;overflow-x:auto}text{fill:var(--ink);font:12px system-ui,sans-serif}.what{font-weight:600}\
rect{fill:var(--paper);stroke-width:2}.proven{stroke:#1a7f37}.signed{stroke:#0b63ce}.declared{stroke:#8a6a00;stroke-dasharray:5 4}\
path{fill:none;stroke:var(--line)}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0}code{overflow-wrap:anywhere}";

/// The page.
pub(super) fn of(root: &Fact) -> String {
    let mut picture = Picture::default();
    picture.place(root, 0);
    let (n_columns, n_rows) = (picture.n_columns, picture.n_rows);
    let (width, height) = (n_columns * (WIDTH + GAP), n_rows * (HEIGHT + 12) + 12);
    let mut rows = String::new();
    table(root, 0, &mut rows);
    let title = format!("{} {}", root.what, root.name);
    let title = escaped(&title);
    let alt = "What led to what, from left to right; the table below says the same.";
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Lineage of {title}</title>\n<style>{STYLE}</style>\n<h1>Lineage</h1>\n<p><code>{title}</code>\n\
         <p>Proven: computed when this page was made. Signed: said by the holder of a key that was asked for. Declared: written down by somebody.\n\
         <figure><svg role=\"img\" aria-label=\"{alt}\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n{}</svg></figure>\n\
         <table>\n<tr><th>what<th>which<th>standing<th>why\n{rows}</table>\n",
        picture.svg
    )
}

#[derive(Default)]
struct Picture {
    svg: String,
    n_rows: usize,
    n_columns: usize,
}

impl Picture {
    /// Draws a fact and all beneath it; returns the row that it stands in.
    fn place(&mut self, fact: &Fact, column: usize) -> usize {
        self.n_columns = self.n_columns.max(column + 1);
        let row = self.n_rows;
        let below: Vec<usize> = fact.from.iter().map(|it| self.place(it, column + 1)).collect();
        if below.is_empty() {
            self.n_rows += 1;
        }
        let (x, y) = (column * (WIDTH + GAP) + 6, row * (HEIGHT + 12) + 6);
        let middle = |row: usize| row * (HEIGHT + 12) + 6 + HEIGHT / 2;
        for to in below {
            let (from, to, end) = (middle(row), middle(to), x + WIDTH + GAP);
            let (begin, turn) = (x + WIDTH, x + WIDTH + GAP / 2);
            writeln!(self.svg, "<path d=\"M{begin} {from}H{turn}V{to}H{end}\"/>")
                .expect("a string takes all");
        }
        let class = fact.standing.name();
        let (what, name) = (escaped(fact.what), escaped(&short(&fact.name)));
        writeln!(
            self.svg,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\"/>\
             <text class=\"what\" x=\"{0}\" y=\"{1}\">{what}</text><text x=\"{0}\" y=\"{2}\">{name}</text><text x=\"{0}\" y=\"{3}\">{class}</text>",
            x + 9, y + 18, y + 34, y + 50
        )
        .expect("a string takes all");
        row
    }
}

fn table(fact: &Fact, depth: usize, rows: &mut String) {
    let Fact { what, name, standing, why, from } = fact;
    let mark = match standing {
        Standing::Proven => "✔ proven",
        Standing::Signed => "✎ signed",
        Standing::Declared => "… declared",
    };
    let indent = "&emsp;".repeat(depth);
    let [name, why] = [name, why].map(|text| escaped(text));
    writeln!(rows, "<tr><td>{indent}{what}<td><code>{name}</code><td>{mark}<td>{why}")
        .expect("a string takes all");
    from.iter().for_each(|it| table(it, depth + 1, rows));
}

/// The beginning and the end of a long name: of digests the first digits tell which it is.
fn short(name: &str) -> String {
    match name.chars().count() {
        n if n <= SHOWN => name.to_owned(),
        _ => name.chars().take(SHOWN - 1).chain(['…']).collect(),
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_stays_text_in_the_page() {
        let why = (Standing::Declared, "<b>so</b>");
        let page = of(&Fact::new("commit", "\"<script>alert(1)</script>", why));
        assert!(!page.contains("<script") && !page.contains("<b>so"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }

    #[test]
    fn every_fact_has_a_box_and_a_row_and_each_arrow_its_end() {
        let fact = |name: &str| Fact::new("file", name, (Standing::Proven, "so"));
        let page = of(&fact("a").from([fact("b").from([fact("c")]), fact("d")]));
        assert_eq!(page.matches("<rect").count(), 4);
        assert_eq!(page.matches("<path").count(), 3);
        assert_eq!(page.matches("<tr><td>").count(), 4);
    }
}
