//! HTML as it grows: what stands in the program is markup, whatever comes from elsewhere is text.

use std::fmt;

use crate::server::limits::{MAX_CELL, MAX_IN_MEMORY};

/// A piece of a page. Nothing gets in but markup of our own, and text that was escaped.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    /// A piece that is only text.
    pub(super) fn of(text: impl fmt::Display) -> Self {
        let mut html = Self::default();
        html.text(text);
        html
    }

    /// A piece that is only text, of a fixed width: a digest, a media type.
    pub(super) fn code(text: impl fmt::Display) -> Self {
        let mut html = Self::default();
        html.markup("<code>").text(text).markup("</code>");
        html
    }

    /// A piece that is only a link.
    pub(super) fn link_to(to: &str, text: impl fmt::Display) -> Self {
        let mut html = Self::default();
        html.link(to, text);
        html
    }

    /// Adds what stands in the program.
    pub(super) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, as much of it as a cell of a table shows.
    pub(super) fn text(&mut self, text: impl fmt::Display) -> &mut Self {
        self.escape(&text.to_string(), MAX_CELL)
    }

    /// Adds a document, as it is.
    pub(super) fn document(&mut self, text: &str) -> &mut Self {
        self.markup("<pre>").escape(text, MAX_IN_MEMORY as usize).markup("</pre>")
    }

    /// Adds a link to a path of this registry.
    pub(super) fn link(&mut self, to: &str, text: impl fmt::Display) -> &mut Self {
        self.markup("<a href=\"").escape(to, usize::MAX).markup("\">").text(text).markup("</a>")
    }

    /// Adds a piece.
    pub(super) fn push(&mut self, piece: &Self) -> &mut Self {
        self.0.push_str(&piece.0);
        self
    }

    /// Adds a table; the first cell of a row says what the row is of. On a narrow screen a row is a
    /// block, and each cell says its heading.
    pub(super) fn table<const N: usize>(
        &mut self,
        headings: [&'static str; N],
        rows: impl IntoIterator<Item = [Self; N]>,
    ) -> &mut Self {
        self.markup("<table><thead><tr>");
        for heading in headings {
            self.markup("<th scope=\"col\">").markup(heading).markup("</th>");
        }
        self.markup("</tr></thead><tbody>");
        for row in rows {
            self.markup("<tr>");
            for (n, (heading, cell)) in headings.into_iter().zip(row).enumerate() {
                match n {
                    0 => self.markup("<th scope=\"row\">").push(&cell).markup("</th>"),
                    _ => self
                        .markup("<td data-label=\"")
                        .markup(heading)
                        .markup("\">")
                        .push(&cell)
                        .markup("</td>"),
                };
            }
            self.markup("</tr>");
        }
        self.markup("</tbody></table>")
    }

    /// Adds a pair of a list of properties.
    pub(super) fn pair(&mut self, what: impl fmt::Display, value: &Self) -> &mut Self {
        self.markup("<dt>").text(what).markup("</dt><dd>").push(value).markup("</dd>")
    }

    /// Adds where a list goes on, if it does.
    pub(super) fn more(&mut self, path: &str, last: Option<&str>) -> &mut Self {
        let Some(last) = last else { return self };
        self.markup("<p>").link(&format!("{path}?last={last}"), "More").markup("</p>")
    }

    /// The markup of it all.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn escape(&mut self, text: &str, most: usize) -> &mut Self {
        let shown = &text[..text.floor_char_boundary(most)];
        for char in shown.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ if is_hidden(char) => self.0.push(char::REPLACEMENT_CHARACTER),
                _ => self.0.push(char),
            }
        }
        if shown.len() < text.len() {
            self.0.push('…');
        }
        self
    }
}

/// Says whether a character shows itself only by what it does to others: it could make a name look
/// like another one.
fn is_hidden(char: char) -> bool {
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (char.is_control() && !matches!(char, '\n' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let html = Html::of("<b a='1' c=\"2\">&amp;\u{202e}\u{0}\n");
        let escaped = "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;amp;\u{fffd}\u{fffd}\n";
        assert_eq!(html.into_string(), escaped);
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = Html::of("ä".repeat(MAX_CELL)).into_string();
        assert_eq!(text, format!("{}…", "ä".repeat(MAX_CELL / 2)));
    }
}
