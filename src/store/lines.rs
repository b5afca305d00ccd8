//! Two texts line by line: what goes, what comes, and a little around it. Pure.

/// Lines around a change that are shown with it.
const AROUND: usize = 2;
/// So many pairs of lines are compared at most (2 MB of memory); where more differ, all of the old goes and all of the new comes.
const MOST: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Same,
    Gone,
    Come,
}

/// `-`, `+` or a space before each line, `@@ line N @@` (of the new text) where lines are left out. Empty for equal texts.
#[must_use]
pub fn diff(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old == new {
        return Vec::new();
    }
    shown(&marked(&old, &new))
}

fn marked<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Mark, &'t str)> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let rest = |lines: &[&'t str]| lines.iter().skip(head).copied().collect::<Vec<_>>();
    let (old_rest, new_rest) = (rest(old), rest(new));
    let tail = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let same = |lines: &[&'t str]| lines.iter().map(|line| (Mark::Same, *line)).collect::<Vec<_>>();
    let old_middle = old_rest.get(..old_rest.len() - tail).unwrap_or_default();
    let new_middle = new_rest.get(..new_rest.len() - tail).unwrap_or_default();
    let mut all = same(old.get(..head).unwrap_or_default());
    all.extend(middle(old_middle, new_middle));
    all.extend(same(old_rest.get(old_middle.len()..).unwrap_or_default()));
    all
}

/// By the longest common subsequence.
fn middle<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(Mark, &'t str)> {
    let width = new.len() + 1;
    if (old.len() + 1).saturating_mul(width) > MOST {
        let gone = old.iter().map(|line| (Mark::Gone, *line));
        return gone.chain(new.iter().map(|line| (Mark::Come, *line))).collect();
    }
    // common[i * width + j]: how many lines old[i..] and new[j..] have in common.
    let mut common = vec![0_u16; (old.len() + 1) * width];
    let at = |common: &[u16], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, was) in old.iter().enumerate().rev() {
        for (j, is) in new.iter().enumerate().rev() {
            let best = if was == is {
                at(&common, i + 1, j + 1).saturating_add(1)
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = best;
            }
        }
    }
    let (mut i, mut j, mut all) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(was), Some(is)) if was == is => {
                all.push((Mark::Same, *was));
                (i, j) = (i + 1, j + 1);
            }
            (Some(was), is) if is.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                all.push((Mark::Gone, *was));
                i += 1;
            }
            (_, Some(is)) => {
                all.push((Mark::Come, *is));
                j += 1;
            }
            _ => return all,
        }
    }
}

fn shown(all: &[(Mark, &str)]) -> Vec<String> {
    let near = |at: usize| {
        let around = all.iter().skip(at.saturating_sub(AROUND)).take(at.min(AROUND) + 1 + AROUND);
        around.into_iter().any(|(mark, _)| *mark != Mark::Same)
    };
    let (mut out, mut number, mut skipping) = (Vec::new(), 1, true);
    for (at, (mark, line)) in all.iter().enumerate() {
        if near(at) {
            if skipping {
                out.push(format!("@@ line {number} @@"));
            }
            let sign = match mark {
                Mark::Same => ' ',
                Mark::Gone => '-',
                Mark::Come => '+',
            };
            out.push(format!("{sign}{line}"));
        }
        skipping = !near(at);
        number += usize::from(*mark != Mark::Gone);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_out() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n";
        let new = "a\nb\nc\nD\ne\nf\ng\nh\ni\nj\nk\n";
        let expected = ["@@ line 2 @@", " b", " c", "-d", "+D", " e", " f", "@@ line 9 @@", " i", " j", "+k"];
        assert_eq!(diff(old, new), expected);
        assert!(diff(old, old).is_empty());
        assert_eq!(diff("", "x\n"), ["@@ line 1 @@", "+x"]);
        assert_eq!(diff("x\n", ""), ["@@ line 1 @@", "-x"]);
    }

    #[test]
    fn whatever_differs_both_texts_can_be_read_off() {
        let mut dice = 7_u32;
        let mut text = || {
            let mut lines = Vec::new();
            for _ in 0..40 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                lines.push(["a", "b", "c", "d"][usize::try_from(dice >> 30).unwrap()]);
            }
            lines
        };
        for _ in 0..200 {
            let (old, new) = (text(), text());
            let all = marked(&old, &new);
            let side = |other: Mark| {
                all.iter().filter(|(mark, _)| *mark != other).map(|(_, line)| *line).collect::<Vec<_>>()
            };
            assert_eq!((side(Mark::Come), side(Mark::Gone)), (old, new));
        }
    }

    #[test]
    fn huge_differences_are_told_without_a_huge_table() {
        let lines = |word: &str| (0..5_000).map(|n| format!("{word}{n}\n")).collect::<String>();
        assert_eq!(diff(&lines("a"), &lines("b")).len(), 10_001);
    }
}
