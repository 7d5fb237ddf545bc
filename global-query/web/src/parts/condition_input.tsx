// The condition: an input with completion (WAI-ARIA combobox) and what the server thinks of it.
import { useRef, useState } from "preact/hooks";
import { accept, complete, type Completion, type Known, type Suggestion } from "../condition";

interface Props {
  value: string;
  known: Known;
  problem: string | null;
  onChange: (text: string) => void;
  onRun: () => void;
}

export function ConditionInput({ value, known, problem, onChange, onRun }: Props) {
  const input = useRef<HTMLInputElement>(null);
  const [open, setOpen] = useState<Completion | null>(null);
  const [at, setAt] = useState(-1);
  const shown = open && open.suggestions.length > 0;

  const suggest = (text: string): void => {
    setOpen(complete(text, input.current?.selectionStart ?? text.length, known));
    setAt(-1);
  };
  const take = (suggestion: Suggestion): void => {
    if (!open) return;
    const next = accept(value, open, suggestion);
    onChange(next.text);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(next.caret, next.caret);
      suggest(next.text);
    });
  };
  const move = (by: number): void => {
    if (!shown) return suggest(value);
    const n = open.suggestions.length;
    setAt((was) => (was < 0 ? (by > 0 ? 0 : n - 1) : (was + by + n) % n));
  };
  const onKey = (event: KeyboardEvent): void => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      move(event.key === "ArrowDown" ? 1 : -1);
    } else if ((event.key === "Enter" || event.key === "Tab") && shown && at >= 0) {
      event.preventDefault();
      take(open.suggestions[at]!);
    } else if (event.key === "Enter") {
      setOpen(null);
      onRun();
    } else if (event.key === "Escape" && shown) {
      event.stopPropagation();
      setOpen(null);
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      suggest(value);
    }
  };

  return (
    <div class="field condition">
      <label for="condition">Condition</label>
      <div class="combo">
        <input
          id="condition"
          ref={input}
          class="mono"
          type="text"
          value={value}
          placeholder="every flow — for example: dport = 443 & net = 10.0.0.0/8"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          role="combobox"
          aria-expanded={Boolean(shown)}
          aria-controls="condition-list"
          aria-autocomplete="list"
          aria-activedescendant={shown && at >= 0 ? `condition-${at}` : undefined}
          aria-invalid={problem !== null}
          aria-describedby={problem === null ? undefined : "condition-problem"}
          onInput={(e) => {
            onChange(e.currentTarget.value);
            suggest(e.currentTarget.value);
          }}
          onFocus={(e) => suggest(e.currentTarget.value)}
          onClick={(e) => suggest(e.currentTarget.value)}
          onBlur={() => setOpen(null)}
          onKeyDown={onKey}
        />
        {value && (
          <button type="button" class="plain clear" aria-label="Clear the condition" title="Clear" onClick={() => onChange("")}>
            ×
          </button>
        )}
        {shown && (
          <ul id="condition-list" class="options" role="listbox" aria-label={`Possible ${open.kind}s`}>
            {open.suggestions.map((s, i) => (
              <li
                key={s.text}
                id={`condition-${i}`}
                role="option"
                aria-selected={i === at}
                onMouseDown={(e) => {
                  e.preventDefault();
                  take(s);
                }}
              >
                <code>{s.text}</code>
                {s.about && <span>{s.about}</span>}
              </li>
            ))}
          </ul>
        )}
      </div>
      {problem !== null && (
        <pre id="condition-problem" class="problem" role="status">
          {problem}
        </pre>
      )}
    </div>
  );
}
