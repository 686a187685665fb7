"""What WCAG 2.2 asks of a page beside axe: targets a thumb can hit, a focus that is seen and goes in order, wider text."""

from __future__ import annotations

from playwright.sync_api import Page

# What is small: not a link inside a sentence (SC 2.5.8 leaves these out), not a target whose label is hit as well.
_SMALL = """
() => {
  const found = []
  for (const it of document.querySelectorAll('a[href], button, input, select, textarea, summary, [role=button]')) {
    const style = getComputedStyle(it)
    if (!it.checkVisibility({ visibilityProperty: true }) || it.closest('.skip') || it.type === 'hidden') continue
    const label = it.labels && it.labels[0] && it.labels[0].contains(it) ? it.labels[0] : null
    const box = (label || it).getBoundingClientRect()
    if (box.width === 0 || box.right <= 0) continue
    if (it.tagName === 'A' && style.display === 'inline') continue
    const size = `${Math.round(box.width)}x${Math.round(box.height)}`
    if (box.height < 43.5 || box.width < 23.5) found.push(`${it.outerHTML.slice(0, 120)} ${size}`)
  }
  return [...new Set(found)]
}
"""
# A focus that cannot be seen, and a tab that goes another way than the eye: none by tabindex, none by reordering with CSS.
_HIDDEN_FOCUS = """
() => {
  const found = []
  for (const it of document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')) {
    if (!it.checkVisibility({ visibilityProperty: true }) || it.disabled || it.tabIndex < 0) continue
    if (it.tabIndex > 0) found.push(`tabindex ${it.tabIndex}: ${it.outerHTML.slice(0, 120)}`)
    for (let up = it; up && up !== document.body; up = up.parentElement) {
      const { order, flexDirection, display } = getComputedStyle(up)
      const turned = order !== '0' || (/flex/.test(display) && /reverse/.test(flexDirection))
      if (turned) found.push(`reordered: ${up.outerHTML.slice(0, 120)}`)
    }
    it.focus({ focusVisible: true, preventScroll: true })
    if (document.activeElement !== it) continue
    const seen = [it, it.parentElement].some(one => {
      const style = getComputedStyle(one)
      return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2) || style.boxShadow !== 'none'
    })
    if (!seen) found.push(`no focus to be seen: ${it.outerHTML.slice(0, 120)}`)
  }
  return [...new Set(found)]
}
"""
# SC 1.4.12, as the standard says it; a sheet of the page's own kind, which its policy allows.
_WIDER = """
() => {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }
    p { margin-bottom: 2em !important }`)
  document.adoptedStyleSheets = [sheet]
}
"""
_CLIPPED = """
() => [...document.querySelectorAll('#main :is(h1, h2, h3, p, button, th, label, summary)')]
  .filter(it => it.checkVisibility({ visibilityProperty: true }) && it.clientWidth > 0)
  .filter(it => {
    const style = getComputedStyle(it)
    return style.overflowX === 'hidden' && style.textOverflow !== 'ellipsis' && style.position !== 'absolute'
      && (it.scrollWidth > it.clientWidth + 1 || it.scrollHeight > it.clientHeight + 1)
  })
  .map(it => it.outerHTML.slice(0, 120))
"""


def small_targets(page: Page) -> list[str]:
    """On a touch screen: lower than 44 px, or narrower than 24."""
    return [f"small: {line}" for line in page.evaluate(_SMALL)]


def lost_focus(page: Page) -> list[str]:
    """Moves the focus over everything; and nothing moves by itself where less motion is wished."""
    moving = page.evaluate("document.getAnimations().length")
    return [*page.evaluate(_HIDDEN_FOCUS), *([f"{moving} animations go on although less motion is wished"] if moving else [])]


def too_wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def without_room(page: Page) -> list[str]:
    """With lines, letters and words further apart: what overflows or is cut off."""
    page.evaluate(_WIDER)
    wide = too_wide(page)
    return [*([f"wider text: {wide} px too wide"] if wide > 0 else []), *(f"cut off: {line}" for line in page.evaluate(_CLIPPED))]
