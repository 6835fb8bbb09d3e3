r"""Gold answers with right answers respelled and near misses, by kind: what `test_grading_differences` grades both ways.

A row is a gold, what says the same, and what does not. Answers are put into a box; a text that holds a box already is
the whole completion. `GOLDS` are varied by rule: see `varied`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class Case(NamedTuple):
    """A gold answer and a completion of a kind, and whether it is right."""

    kind: str
    gold: str
    completion: str
    right: bool


TABLE: dict[str, list[tuple[str, list[str], list[str]]]] = {
    "tiny and huge values": [
        (r"\frac{2^{99}-1}{2^{99}}", [r"1-\frac{1}{2^{99}}", "1-2^{-99}"], [r"\frac{2^{100}-1}{2^{100}}"]),
        (r"6.6\times 10^{-34}", [r"66\times 10^{-35}", "6.6e-34"], [r"6.6\times 10^{-31}", r"6.7\times 10^{-34}", "0"]),
        (r"\frac{1}{2^{55}}", ["2^{-55}", r"\left(\frac12\right)^{55}"], [r"\frac{1}{2^{56}}", "0"]),
        ("2^{-60}", [r"\frac{1}{2^{60}}", r"\frac{1}{4^{30}}"], ["2^{-61}", "-2^{-60}"]),
        (r"1.6\times 10^{-19}", [r"1.60\times 10^{-19}", r"0.16\cdot 10^{-18}"],
         [r"9.1\times 10^{-31}", r"-1.6\times 10^{-19}", r"1.61\times 10^{-19}"]),
        (r"3-\frac{1}{3^{100}}", [r"3-3^{-100}", r"\frac{3^{101}-1}{3^{100}}"], [r"3-\frac{2}{3^{100}}", "3"]),
        (r"1-\frac{1}{2^{99}}", [], [r"1-\frac{1}{2^{98}}", r"1+\frac{1}{2^{99}}", "1"]),
        (r"\left(\frac{1}{2}\right)^{100}", ["2^{-100}"], [r"\left(\frac{1}{2}\right)^{99}"]),
        (r"\frac{1}{2^{99}}", [], [r"-\frac{1}{2^{99}}"]),
        (r"2-\frac{1}{2^{2023}}", ["2-2^{-2023}", r"\frac{2^{2024}-1}{2^{2023}}"], [r"2-\frac{1}{2^{2024}}", "2"]),
        (r"\frac{1}{20!}", [r"\frac{1}{2432902008176640000}", "1/20!", r"\frac{21}{21!}"], [r"\frac{1}{21!}", r"-\frac{1}{20!}"]),
        ("20!", ["2432902008176640000", r"20\cdot 19!"], ["21!", "2432902008176640001", "19!"]),
        (r"\frac{1}{3^{50}}", ["3^{-50}"], ["3^{-51}"]),
        ("e^{-40}", [r"\frac{1}{e^{40}}"], ["e^{-41}", "0"]),
        (r"\sqrt{2}-10^{-20}", [], [r"\sqrt{2}", r"\sqrt{2}+10^{-20}"]),
        (r"\frac{x}{2^{60}}", [r"2^{-60}x"], [r"\frac{x}{2^{61}}"]),
        (r"\left(10^{-20}, 1\right)", [r"(\frac{1}{10^{20}}, 1)"], [r"(10^{-21}, 1)", r"(-10^{-20}, 1)"]),
        (r"x = 10^{-30}", ["10^{-30}"], ["x = 10^{-31}"]),
        (r"\left[0, \frac{1}{2^{80}}\right]", [r"[0, 2^{-80}]"], [r"[0, 2^{-81}]"]),
        ("10^{30}", ["1" + "0" * 30], ["1" + "0" * 29 + "1", "10^{31}"]),
        ("2^{100}", ["4^{50}", "1267650600228229401496703205376"], ["2^{101}", "1267650600228229401496703205377"]),
        (r"6.02\times 10^{23}", ["602000000000000000000000", "6.02e23"], [r"6.03\times 10^{23}"]),
        (r"\binom{50}{25}", [r"\frac{50!}{25!25!}", "126410606437752"], [r"\binom{50}{24}", "126410606437753"]),
        (r"\frac13", ["0.333333", "0.3333333"], ["0.3333", "0.333334"]),
        (r"\frac{246913579}{2}", ["123456789.5"], ["123456789.4", "123456789"]),
        (r"\pi", ["3.14159265"], ["3.14", r"\frac{22}{7}"]),
    ],
    "powers of functions": [
        (r"\sin^2 x", [r"\sin^2(x)", r"\sin^{2}(x)", r"(\sin x)^2", r"1-\cos^2 x", r"\frac{1-\cos 2x}{2}"],
         [r"\sin x^2", r"\cos^2(x)", r"\sin^3(x)", r"\sin(2x)"]),
        (r"\sin^2(x)+\cos^2(x)", ["1"], ["2", "0"]),
        (r"\log^2(x)", [r"\log^2 x", r"(\log x)^2"], [r"\log x^2", r"2\log x", r"\log_2 x"]),
        (r"\tan^2(\theta)", [r"\frac{\sin^2(\theta)}{\cos^2(\theta)}", r"\tan^2 \theta"], [r"\tan(\theta)"]),
        (r"\sin^2(x)", [r"1-\cos^2(x)"], [r"1-\cos(x)"]),
        (r"\tan^2(y)+1", [r"\sec^2(y)", r"1+\tan^2(y)", r"1+\tan^{2} y"], [r"\sec(y)", r"\tan^2(y)-1"]),
        (r"2\sin^2 x", [r"2\sin^2(x)", r"2 \sin^{2}(x)"], [r"\sin^2(2x)", r"4\sin^2(x)"]),
        (r"\log_2 x", [r"\log_2(x)", r"\log_{2}(x)", r"\frac{\ln x}{\ln 2}"], [r"\log_3(x)", r"\log(x)", r"\log_2(x+1)"]),
        (r"\cos^{3}(x)", [r"\cos^3 x", r"\cos^3(x)"], [r"\cos^2(x)", r"\sin^3 x"]),
        (r"\sin^3 x\cos^2 x", [r"\sin^3(x)\cos^2(x)", r"\cos^{2}(x)\sin^{3}(x)"], [r"\sin^2(x)\cos^3(x)"]),
        (r"\sec^2 x \tan x", [r"\tan(x)\sec^2(x)"], [r"\sec(x)\tan(x)"]),
        ("x^2(x+1)", ["x^3+x^2"], ["x^3+x", "2x(x+1)"]),
        ("2^3(5)", ["40"], ["8", "13"]),
        (r"\log_2(8)(3)", ["9"], ["3"]),
    ],
    "several boxes": [
        ("7", [r"\boxed{3}. Wait, no: \boxed{7}", r"\boxed{7}, that is \boxed{7}", "\\boxed{7}\n\\boxed{7}"],
         [r"\boxed{3}, \boxed{5}, \boxed{7}", r"\boxed{3} and \boxed{7}", r"\boxed{7}; \boxed{5}", r"\boxed{3}$ or $\boxed{7}"]),
        ("3, 5", [r"$\boxed{3}$ and $\boxed{5}$", r"\boxed{3}, \boxed{5}", r"\boxed{5}; \boxed{3}", r"\boxed{3} \text{ and } \boxed{5}",
                  r"$x=\boxed{3}$ and $y=\boxed{5}$", r"\boxed{1}, no, wait: \boxed{3}, \boxed{5}"],
         [r"\boxed{3}, so \boxed{5}", r"\boxed{3} and \boxed{6}", r"\boxed{5}", r"\boxed{3, 5}, wait, \boxed{3}"]),
        (r"$\boxed{3}$ apples and $\boxed{5}$ pears", ["3, 5", r"$\boxed{3}$ and $\boxed{5}$"], ["5", "3", "3, 6"]),
        (r"$x=\boxed{2}$, $y=\boxed{-4}$", ["2, -4"], ["-4", "2, 4"]),
        ("5", [r"\boxed{3} is wrong, \boxed{5}", r"I first had \boxed{3}. Correction: \boxed{5}", r"\boxed{3} ... wait, \boxed{5}"],
         [r"\boxed{5}. Wait, \boxed{3}", r"\boxed{5}, but the answer is \boxed{6}"]),
        ("(1,2), (3,4)", [r"$\boxed{(1,2)}$ and $\boxed{(3,4)}$"], [r"$\boxed{(1,2)}$ and $\boxed{(4,3)}$"]),
        (r"1, 2, 3", [r"\boxed{1}, \boxed{2}, and \boxed{3}"], [r"\boxed{1}, \boxed{2}, and \boxed{4}"]),
    ],
    "upright constants": [
        (r"1 - \frac{1}{\mathrm{e}}", ["1 - e^{-1}", r"1-\frac1e"], [r"1-\frac1{e^2}", r"1-\frac{1}{\mathrm{i}}"]),
        (r"2\mathrm{e}", ["e+e", "2e"], ["2", "e", "3e"]),
        (r"\mathrm{e}^{2}", ["e^2", r"\exp(2)"], ["e", "2e"]),
        (r"\mathrm{e}^{\mathrm{i}\pi}", ["-1"], ["1"]),
        (r"3+2\mathrm{i}", ["3+2i", "2i+3"], ["3-2i", "3+2", "5"]),
        (r"\mathrm{i}", ["i", r"\sqrt{-1}"], ["-i", "1"]),
        (r"\ln 2", [r"\operatorname{ln} 2", r"\mathrm{ln}\, 2", r"\text{ln}(2)"], [r"\ln 3", r"\log 2"]),
        (r"\operatorname{sin} x", [r"\sin x", r"\mathrm{sin}(x)"], [r"\cos x"]),
    ],
    "units": [
        ("42", [r"42 \text{ 个苹果}", "42元", r"42\text{元}", "42 км", r"42 \text{ яблока}", "42개", "42 añitos", "42 कलम", "42 μm"],
         ["43元", "42万", "42 тысячи", "4元2", "42 millones"]),
        ("5", ["5厘米", "5 м", "5 Äpfel", "5 fois"], ["5x", "5 dozen", "5π", "5α", "6厘米"]),
        ("5 cm", ["5厘米", "5", "0.05 m", "50 mm", "5 см"], ["5米", "5 m", "5 км"]),
        (r"20 \mathrm{~m} / \mathrm{s}", [r"20 \text{ m/s}", "20", r"20\text{ meters per second}", r"20 \frac{\mathrm{m}}{\mathrm{s}}",
                                         r"20\ \mathrm{m}\cdot\mathrm{s}^{-1}", "72 km/h"],
         [r"20 \text{ km/h}", "21", r"20 \mathrm{~m} / \mathrm{s}^2", r"20 \text{ s/m}"]),
        (r"30 \mathrm{~km} / \mathrm{h}", ["30", "30 km/h", "30 kph"], ["31", "30 mph", r"30\text{ m/s}"]),
        (r"9.8 \mathrm{~m} / \mathrm{s}^{2}", ["9.8", r"9.8\text{ m/s}^2", "9.8 m/s^2"], ["9.8 m/s", "9.9"]),
        (r"5 \mathrm{~g} / \mathrm{cm}^{3}", ["5", r"5\text{ g/cm}^3"], ["5 kg/cm^3", "6"]),
        (r"10 \mathrm{~kg} \cdot \mathrm{m} / \mathrm{s}", ["10"], ["11"]),
        (r"90^\circ", ["90", r"90\text{ degrees}", r"90°"], ["91", r"90\text{ radians}", "-90"]),
        (r"25^\circ\text{C}", ["25", "25℃", r"25^\circ C", r"25^{\circ}\mathrm{C}"], ["26", r"25^\circ\text{F}"]),
        (r"12\text{ square inches}", ["12", r"12\text{ in}^2", r"12 \text{ sq in}"], [r"12\text{ square feet}", "13"]),
        ("3 hours", ["3", "180 minutes", "3 h"], ["3 minutes", "4"]),
        (r"5\text{ apples}", ["5", "5 apples", r"5 \text{ pieces}"], ["6 apples", "-5"]),
    ],
    "compound quantities": [
        (r"5 \text{ feet } 6 \text{ inches}", [r"5\text{ ft } 6\text{ in}", "5 ft 6 in", "66 inches", "5'6\"", "5.5 feet"],
         [r"5\text{ ft } 7\text{ in}", r"6\text{ ft } 5\text{ in}", "56", "11", "5"]),
        (r"2 \text{ hours and } 30 \text{ minutes}", [r"2 \text{ hours } 30 \text{ minutes}", "150 minutes", "2.5 hours", "2 h 30 min"],
         ["2 hours 31 minutes", "230 minutes", "30 hours 2 minutes", "2", "32"]),
        ("8, 11", ["8 chickens and 11 rabbits", r"8 \text{ chickens}, 11 \text{ rabbits}", "8 and 11"],
         ["8 chickens and 12 rabbits", "8 chickens", "19", "2 chickens, 8 pigs and 11 rabbits"]),
        ("8 chickens and 11 rabbits", ["8, 11", "11 rabbits and 8 chickens", r"8 \text{ chickens and } 11 \text{ rabbits}"],
         ["8 rabbits and 11 chickens", "11, 8", "8", "19"]),
        (r"30^\circ 30'", [r"30.5^\circ", r"30^{\circ}30^{\prime}", r"30\text{ degrees }30\text{ minutes}"],
         [r"30^\circ 31'", r"30^\circ", r"30.3^\circ", "3030"]),
        (r"5 \text{ dollars and } 25 \text{ cents}", [r"\$5.25", "5.25", "525 cents"], [r"\$5.52", r"\$525"]),
        ("3 m 50 cm", ["3.5 m", "350 cm"], ["3 m 5 cm", "53 m"]),
        ("5 cm, 10 cm", ["5, 10"], ["15 cm", "5 m, 10 m", "15"]),
        ("2x, 3y", ["3y, 2x"], ["2, 3", "5xy"]),
    ],
    "mixed numbers": [
        (r"4.5\%", ["4 1/2%", r"4\frac12\%", r"\frac92\%", "4.5", "0.045"], ["41/2%", r"2\%", "4 1/3%"]),
        (r"\frac{9004}{9}", ["1 000 4/9", r"1000\frac{4}{9}", r"1\,000\,\frac49", r"1,000\frac{4}{9}"], ["1 000 5/9", "1 004/9", r"100\frac49"]),
        (r"\frac{40}{9}\%", [r"4 4/9 \%", r"4\frac{4}{9}\%"], [r"4 5/9 \%", r"44/9\%"]),
        (r"\frac{7}{2}", ["3 1/2", r"3\frac{1}{2}", r"3 \tfrac12", "3.5", "3½"], [r"\frac{3}{2}", "31/2", r"3\cdot\frac12", "-3 1/2"]),
        (r"-\frac{7}{2}", ["-3 1/2", r"-3\frac{1}{2}", "-3.5"], ["3 1/2", r"-3+\frac12", r"-\frac52"]),
        (r"3\frac{1}{7}", [r"\frac{22}{7}", "22/7"], [r"\frac{3}{7}", r"\pi"]),
        (r"66\frac{2}{3}\%", [r"66 2/3\%", r"\frac{200}{3}\%", r"\frac23"], [r"66\frac{1}{3}\%", "66\\%"]),
    ],
    "binomials and fractions": [
        ("120", [r"{10 \choose 3}", r"\binom{10}{3}", r"10 \choose 3", r"\dbinom{10}{3}", r"\tbinom{10}{3}"],
         [r"{10 \choose 4}", r"\binom{3}{10}", r"\frac{10}{3}"]),
        (r"\binom{n}{k}", [r"{n \choose k}", r"\frac{n!}{k!(n-k)!}", r"\binom{n}{k}"], [r"{k \choose n}", r"\binom{n}{k+1}", r"\frac{n}{k}"]),
        (r"{n+1 \choose 2}", [r"\binom{n+1}{2}", r"\frac{n(n+1)}{2}"], [r"\binom{n}{2}"]),
        (r"2{5 \choose 2}", ["20"], ["10"]),
        (r"\frac12", [r"{1 \over 2}", r"1 \over 2", r"\dfrac12", r"\tfrac{1}{2}", r"\cfrac{1}{2}", "1/2", "0.5"], [r"{2 \over 1}", r"\frac13", "1.2"]),
    ],
    "ordinals": [
        ("12", [r"12^{\text{th}}", "12th", r"12\text{th}", r"12^\text{th}", r"12^{th}", r"12\textsuperscript{th}"],
         ["13th", "1/12th", "12ths", r"12^{t}"]),
        ("3", ["3rd", r"3^{\text{rd}}", r"3^{rd}"], ["2nd", "a third"]),
        ("21", ["21st", r"21^{\text{st}}"], ["22nd"]),
        ("2", ["2nd", r"2^{\text{nd}}"], ["2nd power of 3"]),
        (r"12^{\text{th}}", ["12", "12th"], ["11"]),
    ],
    "money": [
        ("42", [r"\text{US\$}42", r"US\$42", r"\$42", "42 dollars", "$42", "€42", "42 €", "42€", r"\text{\$}42", "42 USD", r"HK\$42", "£42",
                "USD 42", r"\$42.00", "Rs. 42", "42 yen", r"\text{USD } 42"],
         [r"\$43", r"-\$42", r"\$42{,}000", "42 million dollars", r"\$4.2"]),
        (r"\$1,250", ["1250", r"\$1250.00", "1,250 dollars", r"US\$1{,}250"], ["125", r"\$1,205", "1,250 cents"]),
        (r"\$0.75", ["75 cents", "0.75", r"\frac34"], ["75 dollars", r"\$0.57"]),
        (r"42 \text{ euros}", ["€42", "42"], [r"\$42", "42 dollars", "€43"]),
    ],
    "words behind the answer": [
        ("3", [r"x=3 \text{ for all } n", "x=3 for all n", r"3 \text{ for every } x", r"3, \forall x \in \mathbb{R}"],
         ["x=4 for all n", r"3 \text{ if } n>2", r"3 \text{ for all } n>5", "3 for x > 0"]),
        ("42", ["42 in total", "42 apples left", "42 each", "42 altogether", r"42 \text{ in total}", "42 per day", "42 more apples"],
         ["42 or more", "42 at most", "42 thousand", "42 is wrong", "42 less than x", "not 42"]),
        (r"2k\pi", [r"2k\pi, k \in \mathbb{Z}", r"x = 2k\pi \text{ where } k \text{ is an integer}", r"2\pi k \quad (k \in \mathbb{Z})"],
         [r"k\pi, k \in \mathbb{Z}", r"2k\pi+1"]),
        ("f(x)=x", [r"f(x)=x \text{ for all } x", r"f(x) = x \text{ for all real numbers } x", "x"], ["f(x)=-x for all x", "f(x)=2x"]),
        (r"n^2 \text{ for all } n \ge 1", ["n^2"], ["n^3", "n"]),
    ],
    "primes and quotes": [
        ("f'(x)", [r"f^{\prime}(x)", r"f^\prime(x)"], ["f(x)", "f''(x)", "g'(x)"]),
        ("f'(x)=2x", ["2x", r"f^{\prime}(x)=2x"], ["f(x)=2x", "f'(x)=3x"]),
        ("x'", [], ["x", "x''", "y'"]),
        ("f(x)", [], ["f'(x)"]),
        ("y''-y'", ["-y'+y''"], ["0", "y''-y", "y-y'"]),
        ("123", ["'123'"], ["1'23", "12'3", "1\"23"]),
        ("1234567", ["1'234'567", "1,234,567", "1 234 567", r"1\,234\,567"], ["1'234'56", "1'2345'67"]),
        ("30'", ["30"], ["31'", "30''"]),
    ],
    "separators": [
        ("1,2", ["1、2", "1，2", "1; 2", "1和2", r"1 \text{ and } 2", "1 и 2", "2, 1", r"1\text{ or }2"], ["1、3", "12", "1.2"]),
        ("1234.5", ["1,234.5", "1 234.5", r"1{,}234.5", "1234.50", "+1234.5"], ["1,234,5", "12345", "1.2345"]),
        ("58,500", ["58500", r"58{,}500", r"58,\!500", r"58\,500", "58 500"], ["58.5", "58,5", "58, 501"]),
        ("(1,2)", [r"\left(1,2\right)", "( 1 , 2 )", r"\left( 1, \, 2 \right)"], ["(2,1)", "1.2", r"\{1,2\}", "(1,2,3)", "(1,-2)"]),
        ("1,2,3", [r"\{1,2,3\}", "3,2,1", "1, 2 and 3", "1; 2; 3"], ["1,2", "1,2,4", "123"]),
    ],
    "sets, intervals, matrices": [
        (r"(-\infty, 2) \cup (3, \infty)", [r"(-\infty,2)\cup(3,+\infty)", r"x<2 \text{ or } x>3"], [r"(-\infty, 2] \cup (3, \infty)", r"(2,3)"]),
        ("[-2,7]", [r"-2 \le x \le 7", r"x \in [-2,7]", r"\left[-2,7\right]"], ["(-2,7]", "[-2,8]", "[2,7]"]),
        (r"\{1\pm\sqrt{5},-2\}", [r"\{-2, 1+\sqrt5, 1-\sqrt5\}"], [r"\{1\pm\sqrt{5},2\}", r"\{1+\sqrt{5},-2\}"]),
        (r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}", [r"\begin{bmatrix} 1 \\ -2 \end{bmatrix}", r"\begin{pmatrix}1\\-2\end{pmatrix}"],
         [r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} -2 \\ 1 \end{pmatrix}", r"\begin{pmatrix} 1 & -2 \end{pmatrix}"]),
        (r"3 \pm 2\sqrt{2}", [r"3+2\sqrt2, 3-2\sqrt2"], [r"3+2\sqrt2", r"2 \pm 3\sqrt{2}"]),
        ("1,-2", ["x=1, x=-2", r"-2 \text{ and } 1", r"x = 1 \text{ or } x = -2"], ["1, 2", "-1, 2", "1"]),
    ],
    "text answers": [
        (r"\text{east}", ["east", "East", r"\text{East}"], ["west", "seat", r"\text{eats}"]),
        (r"\text{even}", ["even", r"\textbf{even}"], ["odd", r"\text{neither}"]),
        (r"\text{(C)}", ["C", "(C)", r"\text{C}"], ["(B)", "D", "A"]),
        (r"\text{Evelyn}", ["Evelyn", "evelyn"], ["Carla"]),
        (r"\text{June 20}", ["June 20"], ["June 21", "20"]),
        ("yes", ["Yes", r"\text{yes}"], ["no"]),
    ],
}

# MATH- and GSM8K-style golds, respelled and missed by rule.
GOLDS = [
    "7", "-50", "128", "1728", "0.15", ".35625", r"\frac{14}{3}", r"-\frac{\pi}{6}", r"\frac{17}{50}", r"12\pi", r"\sqrt{53}",
    r"70\sqrt{2}", r"11\sqrt{5}+11", "6-5i", "p-q", "x^3+3x-6", "2k+2", "x=5", "y=-2x", r"\frac{\sqrt{3}}{2}", r"\frac{1}{2+\sqrt{3}}",
    r"\frac{3\pi}{4}", "2^{10}", r"\frac{x+1}{x-2}", r"e^{2}", r"\ln 7", r"4+3\sqrt{2}", "-3", r"\frac{-5}{12}", "1001",
    r"\left(3,\frac{\pi}{2}\right)", "(-2,1)", "(0,5,-7)", r"\frac{a^2}{b}", r"x^{2}-4", r"\sqrt[3]{4}", "18", "145", "60000", "25.5",
]  # fmt: skip


def cases() -> Iterator[Case]:
    """Every case once."""
    seen = set()
    for case in _all():
        if case[1:3] not in seen:
            seen.add(case[1:3])
            yield case


def _all() -> Iterator[Case]:
    for kind, rows in TABLE.items():
        for gold, right, wrong in rows:
            if r"\boxed" not in gold and not gold.endswith("!"):
                yield Case(kind, gold, boxed(gold), True)
            for answers, is_right in ((right, True), (wrong, False)):
                for answer in answers:
                    yield Case(kind, gold, answer if r"\boxed" in answer else boxed(answer), is_right)
    for gold in GOLDS:
        yield from varied(gold)


def boxed(answer: str) -> str:
    return f"So the result is $\\boxed{{{answer}}}$."


def varied(gold: str) -> Iterator[Case]:
    """A gold with other fraction macros, spaces, delimiters and a unit; with its sign flipped and a digit changed."""
    right = [gold, gold.replace(r"\frac", r"\dfrac"), gold.replace(r"\frac", r"\tfrac"), f" {gold} ", rf"\displaystyle {gold}",
             f"{{{gold}}}", re.sub(r"(?<![\\{^_])([-+=])", r" \1 ", gold), f"{gold}."]
    if re.fullmatch(r"-?[\d.]+", gold):
        right += [rf"{gold}\text{{ units}}", f"{gold} apples", rf"\text{{{gold}}}", rf"\${gold}".replace(r"\$-", r"-\$"), f"+{gold}".replace("+-", "-")]
    wrong = [f"{gold}+1", rf"-\left({gold}\right)", rf"2\cdot\left({gold}\right)"] if not re.search(r"[=,]", gold) else []
    if digits := re.findall(r"\d", gold):
        place = gold.rindex(digits[-1])
        wrong.append(f"{gold[:place]}{(int(digits[-1]) + 1) % 10}{gold[place + 1 :]}")
    if gold.startswith("("):
        inside = gold[1:-1].split(",")
        wrong.append(f"({','.join(inside[::-1])})")
    for answers, is_right in ((right, True), (wrong, False)):
        for answer in answers:
            yield Case("spellings and neighbours", gold, boxed(answer), is_right)
