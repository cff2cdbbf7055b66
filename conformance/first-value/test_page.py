"""The reader of the page must be able to find a page wrong."""

import pytest

from page import Step, shows, steps

PAGE = """# A page

```sh
echo one
```

```text
one
```
Words.

```sh
true
```
"""


def test_steps_come_in_order_with_their_outputs():
    assert steps(PAGE) == [Step(3, "echo one\n", "one\n"), Step(12, "true\n", None)]


@pytest.mark.parametrize("wrong", ["```text\nx\n```\n", "```sh\nx\n```\n```text\ny\n```\n```text\nz\n```\n", "```\nx\n```\n"])
def test_a_block_without_a_meaning_is_refused(wrong):
    with pytest.raises(ValueError):
        steps(wrong)


@pytest.mark.parametrize(
    ("shown", "printed", "right"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\nc\n", False),
        ("a\n", "a\nb\n", False),
        ("a\nb\n", "a\n", False),
        ("5 in … s\n", "5 in 1.5 s\n", True),
        ("5 in … s\n", "6 in 1.5 s\n", False),
        ("5 in … s\n", "5 in 1\nx s\n", False),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n…\nz\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_a_page_is_right_about_what_it_shows_and_only_about_that(shown, printed, right):
    assert shows(shown, printed) is right
