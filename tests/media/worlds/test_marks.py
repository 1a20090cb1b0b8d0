"""Words as marks, and rules for them."""

from lumina_core.media.worlds.marks import facts_of, marked

CLAUSES = (("T",), ("(T)r(T)", "related 21"), ("(T)d(T)", "beside 12", "same 12"))


def test_words_are_put_for_others_where_a_rule_gives_some():
    words = marked([("s", "a"), ("c", "b"), ("c", "c")])
    joined = words.rewritten("[sc]c", lambda part: [("x", "".join(part.said(0)))])
    assert (joined.marks, joined.values) == ("xc", ("ab", "c"))
    assert words.rewritten("c", lambda _: None) == words
    assert words.rewritten("c").marks == "s"


def test_parts_of_words_agree_with_a_pattern():
    words = marked([("s", "a"), ("c", "b"), (",", None), ("c", "c")])
    assert [part.words(1) for part in words.parts("s?(c)")] == [[("c", "b")], [("c", "c")]]
    assert [part.marks for part in words.split(",")] == ["sc", "c"]
    assert (words.of("s,"), words.words(1, 3)) == (["a", None], [("c", "b"), (",", None)])


def told(marks):
    return facts_of(marked([(mark, str(place)) for place, mark in enumerate(marks)]), CLAUSES)


def test_facts_name_the_words_of_groups_and_every_sentence_says_something():
    assert told("T.TrT.T,T") == [[], [("related", "4", "2")], []]
    assert told("Tr") is None
    assert told("TdT") is None
    same = marked([("T", "circle"), ("d", None), ("T", "circle")])
    assert facts_of(same, CLAUSES) == [[("beside", "circle", "circle")]]
