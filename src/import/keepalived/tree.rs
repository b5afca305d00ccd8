//! `keepalived.conf` as a tree of lines and blocks (keepalived(5), lib/parser.c). Pure.

/// A line, and what stands in braces behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Line of the file, from 1.
    pub line: usize,
    /// Words; quotes are taken off.
    pub words: Vec<&'a str>,
    /// The block, if there is one.
    pub block: Vec<Node<'a>>,
}

impl<'a> Node<'a> {
    /// The first word.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.words.first().copied().unwrap_or_default()
    }

    /// The word behind the first, or nothing.
    #[must_use]
    pub fn value(&self) -> &'a str {
        self.words.get(1).copied().unwrap_or_default()
    }

    /// The second word as a number; nothing where it is none.
    #[must_use]
    pub fn number<T: std::str::FromStr>(&self) -> Option<T> {
        self.value().parse().ok()
    }

    /// Whether it is switched on: without a value it is (keepalived(5), `<BOOL>`).
    #[must_use]
    pub fn truth(&self) -> bool {
        !matches!(self.value(), "off" | "no" | "false")
    }

    /// The last line of the block with this key: a later one counts.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<&Node<'a>> {
        self.block.iter().rev().find(|node| node.key() == key)
    }

    /// The words of the block, whatever lines they stand on, with their lines.
    pub fn items(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.block.iter().flat_map(|node| node.words.iter().map(|word| (node.line, *word)))
    }
}

enum Token<'a> {
    Word(&'a str),
    Open,
    Close,
    EndOfLine,
}

/// Reads a file. The errors are braces that do not match, with their lines; what could be read is in the tree.
#[must_use]
pub fn parse(text: &str) -> (Vec<Node<'_>>, Vec<(usize, &'static str)>) {
    let mut faults = Vec::new();
    // Blocks that are open, each with its nodes so far.
    let mut stack: Vec<Vec<Node<'_>>> = vec![Vec::new()];
    let mut begun = false;
    for (line, token) in tokens(text) {
        let nodes = stack.len();
        let Some(open) = stack.last_mut() else { break };
        match token {
            Token::Word(word) => match open.last_mut().filter(|_| begun) {
                Some(node) => node.words.push(word),
                None => open.push(Node { line, words: vec![word], block: Vec::new() }),
            },
            Token::Open if open.is_empty() => faults.push((line, "a block without a name")),
            Token::Open => stack.push(Vec::new()),
            Token::Close if nodes > 1 => close(&mut stack),
            Token::Close => faults.push((line, "a closing brace too many")),
            // A brace may stand on a line of its own.
            Token::EndOfLine => {}
        }
        begun = matches!(token, Token::Word(_));
    }
    while stack.len() > 1 {
        close(&mut stack);
        let line = stack.last().and_then(|nodes| nodes.last()).map_or(1, |node| node.line);
        faults.push((line, "a block that is never closed"));
    }
    (stack.pop().unwrap_or_default(), faults)
}

fn close(stack: &mut Vec<Vec<Node<'_>>>) {
    let block = stack.pop().unwrap_or_default();
    if let Some(owner) = stack.last_mut().and_then(|nodes| nodes.last_mut()) {
        owner.block = block;
    }
}

fn tokens(text: &str) -> Vec<(usize, Token<'_>)> {
    let mut out = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let mut rest = line;
        loop {
            rest = rest.trim_start();
            // A comment begins at a word's beginning.
            let Some(first) = rest.chars().next().filter(|first| !matches!(first, '#' | '!')) else { break };
            match first {
                '{' | '}' => {
                    out.push((at + 1, if first == '{' { Token::Open } else { Token::Close }));
                    rest = rest.get(1..).unwrap_or_default();
                }
                '"' => {
                    let inner = rest.get(1..).unwrap_or_default();
                    let (word, after) = inner.split_once('"').unwrap_or((inner, ""));
                    out.push((at + 1, Token::Word(word)));
                    rest = after;
                }
                _ => {
                    let end = rest
                        .find(|c: char| c.is_whitespace() || matches!(c, '{' | '}'))
                        .unwrap_or(rest.len());
                    let (word, after) = rest.split_at(end);
                    out.push((at + 1, Token::Word(word)));
                    rest = after;
                }
            }
        }
        out.push((at + 1, Token::EndOfLine));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_comments_and_quotes() {
        let text = "! comment\nvrrp_instance VI_1 {\n  track_interface { eth0\n eth1 weight 5 }\n  notify \"/a b\" x # y\n}\nlast 1\n";
        let (nodes, faults) = parse(text);
        assert!(faults.is_empty(), "{faults:?}");
        assert_eq!(nodes.len(), 2);
        assert_eq!((nodes[0].words.as_slice(), nodes[0].line), (&["vrrp_instance", "VI_1"][..], 2));
        let track = nodes[0].find("track_interface").unwrap();
        assert_eq!(track.block[0].words, ["eth0"]);
        assert_eq!(track.block[1].words, ["eth1", "weight", "5"]);
        assert_eq!(nodes[0].find("notify").unwrap().words, ["notify", "/a b", "x"]);
        assert_eq!((nodes[1].key(), nodes[1].number::<u8>()), ("last", Some(1)));
    }

    #[test]
    fn braces_that_do_not_match_are_told() {
        assert_eq!(parse("a {\n b 1\n").1, [(1, "a block that is never closed")]);
        assert_eq!(parse("a {\n}\n}\n").1, [(3, "a closing brace too many")]);
        assert_eq!(parse("a {\n b 1\n").0[0].block[0].words, ["b", "1"]);
    }
}
