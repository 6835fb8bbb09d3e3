"""Chains of thought written for the demo, each with something that compression gets wrong or right visibly."""

from __future__ import annotations

from typing import NamedTuple


class Preset(NamedTuple):
    """A question with a worked solution."""

    name: str
    question: str
    reasoning: str
    answer: str


# Two styles that fill the encoder's windows unlike each other, to show that each window gives up the same share.
WORDY = (
    "Okay, so let me think about this for a moment, because I want to be really sure that I have understood what is "
    "being asked here. Well, first of all, I suppose that we should read the question once more, slowly and carefully. "
    "Hmm, all right. I think that this is more or less what we have said before, but it does not hurt to say it again. "
    "So, as I said, let us go on from here, step by step, and let us see where that takes us in the end. "
    "Actually, wait a moment, maybe there is another way to look at it, but no, I think that it comes to the same."
)
TERSE = (
    "$48 / 12 = 4$; $4 + 17 = 21$; $21 \\cdot 3 = 63$; $63 - 36 = 27$; $\\sqrt{27 \\cdot 3} = 9$; $9^2 = 81$; "
    "$81 / 27 = 3$; $3 \\cdot 19 = 57$; $57 - 15 = 42$; $\\boxed{42}$."
)

PRESETS = (
    Preset(
        "Marbles: the same numbers again and again",
        "Nora has 4 bags with 12 marbles each. She gives 4 marbles to each of 3 friends. How many marbles are left?",
        "Okay, so let me think about this step by step. Nora has 4 bags, and there are 12 marbles in each bag. "
        "So first of all we need to find the total: 4 bags times 12 marbles is 4 * 12 = 48 marbles.\n"
        "Next, she gives 4 marbles to each of her 3 friends. That means that she gives away 4 * 3 = 12 marbles. "
        "Wait, are these the same 12 marbles as in a bag? No, that 12 is the number of marbles in one bag, "
        "and this 12 is the number of marbles that she gives away, so it does not matter.\n"
        "Finally, we take the 12 marbles away from the 48 marbles: 48 - 12 = 36. So Nora has 36 marbles left.",
        "36",
    ),
    Preset(
        "Algebra in LaTeX: commands and braces",
        r"Solve $\frac{3x - 5}{2} = 8$ for $x$.",
        "We are given the equation $\\frac{3x - 5}{2} = 8$ and we want to solve it for $x$.\n\n"
        "First, we multiply both sides of the equation by $2$ in order to clear the fraction. This gives us "
        "$3x - 5 = 16$.\n\n"
        "Then, we add $5$ to both sides of the equation, which gives us $3x = 21$.\n\n"
        "Finally, we divide both sides of the equation by $3$, and so we obtain $x = \\frac{21}{3} = 7$.\n\n"
        "Let us check: $\\frac{3 \\cdot 7 - 5}{2} = \\frac{16}{2} = 8$, which is what we wanted. "
        "So the solution is $\\boxed{7}$.",
        "7",
    ),
    Preset(
        "Money: decimals, percent, thousands",
        "A laptop costs $1,250.50. It is sold with a discount of 20%, and delivery costs $9.90. What is the price?",
        "The price of the laptop is $1,250.50, and the discount is 20% of this price. "
        "To find 20% of $1,250.50, I can first find 10%, which is $125.05, and then double it, which is $250.10. "
        "So the discount is $250.10.\n"
        "Now I subtract the discount from the price: $1,250.50 - $250.10 = $1,000.40. "
        "Then I must not forget the delivery, which costs $9.90. So the price with delivery is "
        "$1,000.40 + $9.90 = $1,010.30.\n"
        "Hmm, let me double-check the discount: 0.2 * 1,250.50 = 250.10. Yes, that is right.",
        "1,010.30",
    ),
)
