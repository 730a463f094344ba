//! The lines in which two texts differ, in the unified format of `diff -u` and Git.
//!
//! Source: E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), the greedy one.

use std::fmt::Write as _;

/// Lines of context around a change.
const CONTEXT: usize = 3;

/// Beyond so many changed lines a block is replaced as a whole: still right, no longer the shortest.
const MOST: usize = 2_000;

/// What becomes of lines of the old text and of the new one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    Same,
    Removed,
    Added,
}

/// Shows how the second text differs from the first, each with its name; none stands for a text that
/// is not there. Texts that are equal give nothing; each ends with the end of a line.
pub(super) fn unified(old: Option<(String, &str)>, new: Option<(String, &str)>) -> String {
    let lines = |side: &Option<(String, &str)>| -> Vec<String> {
        side.iter().flat_map(|(_, text)| text.split_terminator('\n').map(str::to_owned)).collect()
    };
    let (before, after) = (lines(&old), lines(&new));
    let edits = edits(&before, &after);
    if edits.iter().all(|edit| *edit == Edit::Same) {
        return String::new();
    }
    let name = |side: Option<(String, &str)>| side.map_or("/dev/null".to_owned(), |(name, _)| name);
    let mut out = format!("--- {}\n+++ {}\n", name(old), name(new));
    for (from, to) in hunks(&edits) {
        hunk(&edits, from, to, &before, &after, &mut out);
    }
    out
}

/// The edits that belong together, with their context.
fn hunks(edits: &[Edit]) -> Vec<(usize, usize)> {
    let mut hunks: Vec<(usize, usize)> = Vec::new();
    for (n, _) in edits.iter().enumerate().filter(|(_, edit)| **edit != Edit::Same) {
        let (from, to) = (n.saturating_sub(CONTEXT), (n + 1 + CONTEXT).min(edits.len()));
        match hunks.last_mut() {
            Some(last) if from <= last.1 => last.1 = to,
            _ => hunks.push((from, to)),
        }
    }
    hunks
}

fn hunk(
    edits: &[Edit],
    from: usize,
    to: usize,
    before: &[String],
    after: &[String],
    out: &mut String,
) {
    let count = |edits: &[Edit], not: Edit| edits.iter().filter(|edit| **edit != not).count();
    let (mut old, mut new) =
        (count(&edits[..from], Edit::Added), count(&edits[..from], Edit::Removed));
    let edits = &edits[from..to];
    let range = |start: usize, n: usize| match n {
        // Of nothing, the line before it is named.
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        n => format!("{},{n}", start + 1),
    };
    let (n_old, n_new) = (count(edits, Edit::Added), count(edits, Edit::Removed));
    let mut line = |mark: char, text: &str| {
        writeln!(out, "{mark}{text}").expect("a string takes everything");
    };
    line('@', &format!("@ -{} +{} @@", range(old, n_old), range(new, n_new)));
    for edit in edits {
        match edit {
            Edit::Same => line(' ', &before[old]),
            Edit::Removed => line('-', &before[old]),
            Edit::Added => line('+', &after[new]),
        }
        old += usize::from(*edit != Edit::Added);
        new += usize::from(*edit != Edit::Removed);
    }
}

fn edits(before: &[String], after: &[String]) -> Vec<Edit> {
    let n_same =
        |a: &mut dyn Iterator<Item = (&String, &String)>| a.take_while(|(a, b)| a == b).count();
    let head = n_same(&mut before.iter().zip(after));
    let (old, new) = (&before[head..], &after[head..]);
    let tail = n_same(&mut old.iter().rev().zip(new.iter().rev()));
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    let same = |n: usize| vec![Edit::Same; n];
    let middle = shortest(old, new)
        .unwrap_or_else(|| [vec![Edit::Removed; old.len()], vec![Edit::Added; new.len()]].concat());
    [same(head), middle, same(tail)].concat()
}

/// The fewest edits from one list of lines to another; none where they are too many.
fn shortest(old: &[String], new: &[String]) -> Option<Vec<Edit>> {
    let most = (old.len() + new.len()).min(MOST);
    // `furthest[k]`: how far into the old lines the best path on diagonal `k - most` has come.
    let mut furthest = vec![0; 2 * most + 2];
    let mut rounds = Vec::new();
    for n_edits in 0..=most {
        rounds.push(furthest[most - n_edits..=most + n_edits].to_vec());
        for k in (most - n_edits..=most + n_edits).step_by(2) {
            let mut x = start(&furthest, k, most, n_edits);
            let mut y = x + most - k;
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            furthest[k] = x;
            if x >= old.len() && y >= new.len() {
                return Some(path(&rounds, old.len(), new.len()));
            }
        }
    }
    None
}

/// Whether the best path comes to a diagonal from the one above, by a line that is added; else it
/// comes from the one below, by a line that is removed.
fn is_added(furthest: &[usize], k: usize, centre: usize, n_edits: usize) -> bool {
    let (is_lowest, is_highest) = (k + n_edits == centre, k == centre + n_edits);
    is_lowest || (!is_highest && furthest[k - 1] < furthest[k + 1])
}

/// Where a path is on a diagonal after its edit, before the lines that are the same.
fn start(furthest: &[usize], k: usize, centre: usize, n_edits: usize) -> usize {
    match is_added(furthest, k, centre, n_edits) {
        _ if n_edits == 0 => 0,
        true => furthest[k + 1],
        false => furthest[k - 1] + 1,
    }
}

/// The path back, from what each round knew before it began; in round `n` diagonal 0 is at `n`.
fn path(rounds: &[Vec<usize>], n_old: usize, n_new: usize) -> Vec<Edit> {
    let (mut x, mut y) = (n_old, n_new);
    let mut edits = Vec::new();
    for (n_edits, furthest) in rounds.iter().enumerate().rev() {
        let k = n_edits + x - y;
        let begin = if n_edits == 0 { 0 } else { start(furthest, k, n_edits, n_edits) };
        edits.extend(std::iter::repeat_n(Edit::Same, x - begin));
        (x, y) = (begin, y - (x - begin));
        if n_edits == 0 {
            break;
        }
        match is_added(furthest, k, n_edits, n_edits) {
            true => {
                edits.push(Edit::Added);
                y -= 1;
            }
            false => {
                edits.push(Edit::Removed);
                x -= 1;
            }
        }
    }
    edits.reverse();
    edits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(old: &str, new: &str) -> String {
        let text = |text: &str| text.chars().map(|c| format!("{c}\n")).collect::<String>();
        unified(Some(("a".to_owned(), &text(old))), Some(("b".to_owned(), &text(new))))
    }

    /// What `patch` makes of the old text.
    fn patched(old: &str, diff: &str) -> String {
        let old: Vec<&str> = old.lines().collect();
        let (mut out, mut at) = (Vec::new(), 0);
        for line in diff.lines().skip(2) {
            if let Some(range) = line.strip_prefix("@@ -") {
                let range = range.split(' ').next().unwrap();
                let (start, n) = range.split_once(',').unwrap_or((range, "1"));
                let first = start.parse::<usize>().unwrap() - usize::from(n != "0");
                out.extend_from_slice(&old[at..first]);
                at = first;
                continue;
            }
            let (mark, text) = line.split_at(1);
            if mark != "+" {
                assert_eq!(old[at], text);
                at += 1;
            }
            if mark != "-" {
                out.push(text);
            }
        }
        out.extend_from_slice(&old[at..]);
        out.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn it_is_what_diff_u_prints() {
        // `diff -u`, GNU diffutils 3.8.
        let expected = "--- a\n+++ b\n@@ -1,5 +1,5 @@\n a\n-b\n+x\n c\n d\n e\n@@ -10,4 +10,5 @@\n j\n k\n l\n+y\n m\n";
        assert_eq!(show("abcdefghijklm", "axcdefghijklym"), expected);
        assert_eq!(show("", "a"), "--- a\n+++ b\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(show("ab", ""), "--- a\n+++ b\n@@ -1,2 +0,0 @@\n-a\n-b\n");
        assert_eq!(show("abc", "abc"), "");
        assert_eq!(
            unified(None, Some(("b".to_owned(), "x\n"))),
            "--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+x\n"
        );
    }

    #[test]
    fn a_patch_leads_from_the_old_text_to_the_new_one_with_the_fewest_edits() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..2_000 {
            let mut text = || -> String {
                let n = next(12);
                (0..n).map(|_| format!("{}\n", ["a", "b", "c"][next(3) as usize])).collect()
            };
            let (old, new) = (text(), text());
            let diff = unified(Some(("a".to_owned(), &old)), Some(("b".to_owned(), &new)));
            let made = if diff.is_empty() { old.clone() } else { patched(&old, &diff) };
            assert_eq!(made, new, "{diff}");
            let n_edits = diff.lines().skip(2).filter(|line| line.starts_with(['+', '-'])).count();
            assert_eq!(n_edits, distance(&old, &new), "{diff}");
        }
    }

    /// Lines that are in one text only, by the longest common subsequence.
    fn distance(old: &str, new: &str) -> usize {
        let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
        let mut longest = vec![vec![0; new.len() + 1]; old.len() + 1];
        for (x, a) in old.iter().enumerate() {
            for (y, b) in new.iter().enumerate() {
                longest[x + 1][y + 1] = match a == b {
                    true => longest[x][y] + 1,
                    false => longest[x][y + 1].max(longest[x + 1][y]),
                };
            }
        }
        old.len() + new.len() - 2 * longest[old.len()][new.len()]
    }

    #[test]
    fn texts_of_many_lines_that_have_nothing_in_common_end_in_time() {
        let text = |mark: &str| (0..20_000).map(|n| format!("{mark}{n}\n")).collect::<String>();
        let (old, new) = (text("a"), text("b"));
        let diff = unified(Some(("a".to_owned(), &old)), Some(("b".to_owned(), &new)));
        assert_eq!(patched(&old, &diff), new);
    }
}
