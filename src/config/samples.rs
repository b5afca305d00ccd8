//! Files of many services, and what a hasty hand makes of them.

const REST: &str = "version = 1\n[[interface]]\nname = \"eth0\"\naddresses = [\"192.0.2.1/24\"]\n";

fn service(number: usize) -> String {
    format!(
        "[[service]] # the {number}th\nname = \"s{number}\"\nlisten = \"192.0.2.1:{}\"\nmethod = \"nat\"\n\
         check = {{ type = \"tcp\", interval = \"2s\" }}\nsorry = [\n  {{ address = \"10.0.9.1:80\" }},\n]\n\
         [[service.server]]\naddress = \"10.0.0.{number}:80\"\nweight = 1\n\
         [[service.server]]\naddress = \"10.0.1.{number}:80\"\nweight = 2\n",
        8000 + number
    )
}

/// Services 1 to `services` - 1, a virtual router that tracks one, and a node.
pub fn file(services: usize) -> String {
    let vrrp = "[[vrrp]]\nname = \"VI_1\"\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.0.2.9/32\"]\n\
                track = [{ service = \"s2\", weight = -60 }]\n\
                [node.lb2]\nmatch = { hostname = \"lb2\" }\nvrrp = [{ name = \"VI_1\", priority = 50 }]\n";
    let all = |numbers: std::ops::Range<usize>| numbers.map(service).collect::<String>();
    format!("{REST}{}{vrrp}{}", all(1..services / 2), all(services / 2..services))
}

/// `text` with one to three edits, again and again; the same in every run.
pub fn edits(text: &str, rounds: usize) -> impl Iterator<Item = String> {
    const WORDS: [&str; 13] = [
        "7",
        "\"",
        "[",
        "]",
        "[[service]]",
        "[[service.server]]",
        "[vrrp]",
        "# ",
        "s3",
        "8003",
        "\n",
        "= ",
        "weight",
    ];
    let mut dice = 0x5eed_5eed_u64;
    std::iter::repeat_n(text, rounds).map(move |text| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for _ in 0..=roll(&mut dice, 2) {
            let at = roll(&mut dice, lines.len());
            match roll(&mut dice, 5) {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, lines[roll(&mut dice, lines.len())].clone()),
                2 => lines[at] = lines[at].replace('1', "2"),
                3 => lines[at].insert_str(0, WORDS[roll(&mut dice, WORDS.len())]),
                _ => lines[at].push_str(WORDS[roll(&mut dice, WORDS.len())]),
            }
        }
        lines.join("\n")
    })
}

/// xorshift64*.
fn roll(dice: &mut u64, below: usize) -> usize {
    *dice ^= *dice >> 12;
    *dice ^= *dice << 25;
    *dice ^= *dice >> 27;
    usize::try_from(dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below
}
