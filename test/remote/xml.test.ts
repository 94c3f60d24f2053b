import { assert, describe, it } from "@effect/vitest"
import * as Xml from "../../src/remote/xml.ts"

describe("the XML of S3", () => {
  it("is read with entities, attributes, empty elements and white space", () => {
    const root = Xml.parse(
      "\ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<A xmlns=\"x\">\n <B>a&amp;b&#x20;&#99;&quot;</B><!-- no --><C/></A>\n"
    )
    assert.strictEqual(root?.name, "A")
    assert.strictEqual(root === undefined ? "" : Xml.textOf(root, "B"), "a&b c\"")
    assert.deepStrictEqual(root?.children.map(({ name }) => name), ["B", "C"])
  })

  const refused = [
    "",
    "text",
    "<A>",
    "</A>",
    "<A></B>",
    "<A/><A/>",
    "<A>&b;</A>",
    "<A>& </A>",
    "<A>&#0;</A>",
    "<A>&#x110000;</A>",
    "<!DOCTYPE A><A/>",
    "<A><![CDATA[x]]></A>",
    "<A".repeat(10_000),
    "<A>".repeat(10_000),
    "<A>&constructor;</A>"
  ]
  for (const text of refused) {
    it(`is not ${JSON.stringify(text.slice(0, 30))}`, () => assert.isUndefined(Xml.parse(text)))
  }
})
