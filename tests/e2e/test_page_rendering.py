"""What the demo page draws: text is always text, Block Kit looks like Slack, the unknown is loud."""

import random
import re

import pytest
from playwright.async_api import expect

from tests.fixtures.page import PAGE, SIZES, OpenPage, PageServer
from tests.fixtures.page_cards import HOSTILE, actions, at, button, message, plain, rich, section


def test_page_knows_no_way_to_turn_text_into_markup() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|"
        r"\beval\b|new Function|javascript:|unsafe-|https?://(?!www\.w3\.org/2000/svg)[\w.]",
    )
    found = [
        (path.name, match.group())
        for path in PAGE.iterdir()
        for match in forbidden.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_every_file_of_the_page_is_short_and_says_its_job() -> None:
    for path in PAGE.iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) < 400, path.name
        if path.suffix != ".html":
            assert re.match(r"/\*\*? \w.*\*/$", lines[0]), f"{path.name} does not say what it is for"


DRAW = """async (texts) => {
    const { mrkdwn } = await import("/static/mrkdwn.js");
    const shown = (node) => {
        if (node.nodeType === Node.TEXT_NODE) return node.data;
        const name = node.classList?.[0] ?? node.localName;
        const inside = [...node.childNodes].map(shown).join("");
        return node.localName ? `[${name}${node.href ? " " + node.href : ""}|${inside}]` : inside;
    };
    return texts.map((text) => shown(mrkdwn(text)));
}"""

MRKDWN = {
    "*bold* _italic_ ~strike~ `code`": "[strong|bold] [em|italic] [s|strike] [code|code]",
    "*bold _both_*": "[strong|bold [em|both]]",
    "2*3*4 snake_case_name ****-67B947": "2*3*4 snake_case_name ****-67B947",
    "* not bold * and *not\nbold*": "* not bold * and *not\nbold*",
    "`*code* <b>`": "[code|*code* [not-a-link|<b>]]",
    "```\na *b*\n```after": "[pre|a *b*]after",
    "one\n> two\n&gt; three\nfour": "one[blockquote|two\nthree]four",
    "<https://polar.sh/a?b=1&amp;c=2|A &amp; B>": "[link https://polar.sh/a?b=1&c=2|A & B]",
    "see https://polar.sh/x, or not": "see [link https://polar.sh/x|https://polar.sh/x], or not",
    "<javascript" + ":alert(1)|Approve>": "[not-a-link|<javascript" + ":alert(1)|Approve>]",
    "<mailto:a@b.example|a@b.example>": "[not-a-link|a@b.example]",
    "<@U0BEN> <@U404|zed> <#C0APPROVALS>": "[mention|@Ben Okafor] [mention|@zed] [mention|#approvals]",
    "<!here> <!subteam^S0OPS|@x>": "[mention|@here] [mention|@ops]",
    "<!date^1700000000^{date_num} {time}|later>": "[time|2023-11-14 10:13 PM]",
    "<!date^never^{date}|later>": "[time|later]",
    "&lt;!channel&gt; &amp;lt; &lt;https://e.example|x&gt;": "<!channel> &lt; <[link https://e.example/|https://e.example]|x>",
    ":no_such_emoji: 10:30:00": ":no_such_emoji: 10:30:00",
    ":tada:": "[emoji|\U0001f389]",
    "<unclosed *bold*": "<unclosed [strong|bold]",
    "": "",
}


@pytest.mark.browser
async def test_mrkdwn_is_drawn_as_slack_draws_it(open_page: OpenPage) -> None:
    page = await open_page()
    drawn = await page.evaluate(DRAW, list(MRKDWN))
    assert dict(zip(MRKDWN, drawn, strict=True)) == MRKDWN


@pytest.mark.browser
async def test_escaped_text_never_becomes_a_mention_or_a_labelled_link(open_page: OpenPage) -> None:
    chance = random.Random(2026)  # noqa: S311 a seed, so that a failure comes again
    pieces = [
        "<",
        ">",
        "&",
        "@U0ANNA",
        "!channel",
        "!here",
        "|",
        "*",
        "_",
        "~",
        "`",
        "```",
        "\n",
        ":tada:",
        "a",
        " ",
    ]
    texts = ["".join(chance.choices(pieces, k=chance.randint(1, 40))) for _ in range(500)]
    escaped = [text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for text in texts]
    page = await open_page()
    drawn = await page.evaluate(DRAW, escaped)
    assert [
        shown for shown in drawn if "[mention" in shown or "[link" in shown or "[not-a-link" in shown
    ] == []


@pytest.mark.browser
async def test_a_hostile_kilometre_of_text_takes_no_time(open_page: OpenPage) -> None:
    page = await open_page()
    for hostile in ("*" * 3000, "*a " * 1000, "<" * 3000, "`a" * 1500, "*`<a>" * 600, "&gt;" * 750):
        took = await page.evaluate(
            f"async (text) => {{ const start = performance.now(); await ({DRAW})([text]);"
            " return performance.now() - start; }",
            hostile,
        )
        assert took < 2000, f"{hostile[:10]} took {took:.0f} ms"


@pytest.mark.browser
@pytest.mark.parametrize("size", SIZES)
async def test_hostile_words_stay_words_wherever_they_stand(
    open_page: OpenPage, page_server: PageServer, size: dict[str, int]
) -> None:
    short = HOSTILE[:70]
    page_server.slack["messages"] = [
        message(
            at(60),
            blocks=[
                {"type": "header", "text": plain(short, emoji=False)},
                rich({"type": "text", "text": HOSTILE}),
                {"type": "section", "text": plain(HOSTILE, emoji=False), "expand": True},
                {"type": "section", "fields": [plain(HOSTILE[:2000], emoji=False)]},
                {"type": "context", "elements": [plain(HOSTILE, emoji=False)]},
                {"type": "image", "image_url": "https://evil.example/x.png", "alt_text": HOSTILE[:2000]},
                actions(button(short, "approve", value="1")),
            ],
        )
    ]
    page = await open_page(size)
    blocks = page.locator("#channel .block")
    await expect(blocks.nth(1)).to_have_text(HOSTILE, use_inner_text=False)
    assert await blocks.nth(1).evaluate("node => node.textContent") == HOSTILE
    assert await blocks.nth(2).evaluate("node => node.textContent") == HOSTILE
    assert await page.locator("#channel .block :is(img, script, b, strong, code, .mention)").count() == 0
    assert (
        await page.locator("#channel .block a[href*=evil]").count() == 1
    )  # "Open the image", by a person's tap
    assert "owned" not in await page.title()
    assert await page.evaluate("document.querySelector('#channel .scroller').scrollWidth") <= size["width"]


@pytest.mark.browser
async def test_plain_text_shows_emoji_unless_told_not_to(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [
        message(at(9), blocks=[{"type": "header", "text": plain(":tada: *a*")}]),
        message(at(8), blocks=[{"type": "header", "text": plain(":tada: *a*", emoji=False)}]),
    ]
    page = await open_page()
    await expect(page.locator("#channel h3")).to_have_text(["\U0001f389 *a*", ":tada: *a*"])


@pytest.mark.browser
async def test_rich_text_draws_styles_lists_quotes_and_references(
    open_page: OpenPage, page_server: PageServer
) -> None:
    styled = {"type": "text", "text": "loud", "style": {"bold": True, "italic": True}}
    line = {
        "type": "rich_text_section",
        "elements": [styled, {"type": "link", "url": "ftp://x", "text": "no"}],
    }
    page_server.slack["messages"] = [
        message(
            at(9),
            blocks=[
                {
                    "type": "rich_text",
                    "elements": [
                        {"type": "rich_text_list", "style": "ordered", "offset": 2, "elements": [line]},
                        {"type": "rich_text_quote", "elements": [{"type": "user", "user_id": "U0BEN"}]},
                        {
                            "type": "rich_text_preformatted",
                            "elements": [{"type": "text", "text": " a\n  *b*"}],
                        },
                        {
                            "type": "rich_text_section",
                            "elements": [
                                {"type": "date", "timestamp": 1700000000, "format": "{date_short}"},
                                {"type": "emoji", "name": "none", "unicode": "1f43b-200d-2744-fe0f"},
                                {"type": "broadcast", "range": "here"},
                                {"type": "hologram"},
                            ],
                        },
                    ],
                }
            ],
        )
    ]
    page = await open_page()
    rich_text = page.locator("#channel .rich-text")
    await expect(rich_text.locator("ol[start='3'] li :is(strong, em) :is(strong, em)")).to_have_text("loud")
    await expect(rich_text.locator(".not-a-link")).to_have_text("no")
    await expect(rich_text.locator("blockquote .mention")).to_have_text("@Ben Okafor")
    assert await rich_text.locator("pre").evaluate("node => node.textContent") == " a\n  *b*"
    await expect(rich_text.locator("time")).to_have_text("Nov 14, 2023")
    await expect(rich_text.locator(".emoji")).to_have_text("\U0001f43b\u200d\u2744\ufe0f")
    await expect(rich_text.locator(".unknown")).to_have_text("Unknown rich text element: hologram")


@pytest.mark.browser
async def test_what_the_page_cannot_draw_is_a_loud_red_box(
    open_page: OpenPage, page_server: PageServer
) -> None:
    page_server.slack["messages"] = [
        message(
            at(9),
            blocks=[
                {"type": "carousel"},
                actions({"type": "workflow_button", "action_id": "w"}),
                {"type": "section", "text": {"type": "markdown", "text": "x"}},
                section("still here"),
            ],
        )
    ]
    page = await open_page()
    await expect(page.locator("#channel .unknown")).to_have_text(
        [
            "Unknown block: carousel",
            "Unknown element: workflow_button",
            "Unknown content of the block section: text object of type markdown",
        ]
    )
    await expect(page.locator("#channel .block").last).to_have_text("still here")
