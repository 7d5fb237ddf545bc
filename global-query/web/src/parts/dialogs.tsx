// Dialogs: the token, saved and recent queries, help. <dialog> gives focus trap, Escape and backdrop.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { token } from "../api";
import { describe, fromParams } from "../ask";
import { forget, forgetRecent, recent, save, saved } from "../store";
import { Icon } from "./icons";

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} aria-labelledby="dialog-title" onClose={onClose} onClick={(e) => e.target === dialog.current && onClose()}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="plain round" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      {children}
    </dialog>
  );
}

export function TokenDialog({ refused, onClose, onToken }: { refused: boolean; onClose: () => void; onToken: () => void }) {
  const [text, setText] = useState("");
  return (
    <Dialog title="Token" onClose={onClose}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          token.set(text.trim());
          onToken();
        }}
      >
        <p>{refused ? "The service did not accept the token." : "This service answers only who has a token."} It is kept in this tab and forgotten when you close it.</p>
        <div class="field">
          <label for="token">Bearer token</label>
          <input id="token" type="password" autocomplete="off" value={text} autofocus onInput={(e) => setText(e.currentTarget.value)} />
        </div>
        <p class="actions">
          <button type="submit" class="main" disabled={!text.trim()}>
            Use it
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function QueryLink({ params, name, onPick }: { params: string; name?: string; onPick: (params: string) => void }) {
  return (
    <a
      href={`?${params}`}
      onClick={(e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey) return;
        e.preventDefault();
        onPick(params);
      }}
    >
      {name && <b>{name}</b>}
      <span class="mono">{describe(fromParams(new URLSearchParams(params)))}</span>
    </a>
  );
}

export function QueriesDialog({ current, onClose, onPick }: { current: string; onClose: () => void; onPick: (params: string) => void }) {
  const [name, setName] = useState("");
  const [version, setVersion] = useState(0);
  const again = (): void => setVersion(version + 1);
  return (
    <Dialog title="Queries" onClose={onClose}>
      <form
        class="line"
        onSubmit={(e) => {
          e.preventDefault();
          save(name.trim(), current);
          setName("");
          again();
        }}
      >
        <div class="field grow">
          <label for="save-name">Save the query as</label>
          <input id="save-name" type="text" value={name} autofocus placeholder="name" onInput={(e) => setName(e.currentTarget.value)} />
        </div>
        <button type="submit" class="main" disabled={!name.trim()}>
          Save
        </button>
      </form>
      <h3>Saved</h3>
      {saved().length === 0 && <p class="muted">None yet. Saved queries stay in this browser; to share one, copy the address of the page.</p>}
      <ul class="queries">
        {saved().map((s) => (
          <li key={s.name}>
            <QueryLink params={s.params} name={s.name} onPick={onPick} />
            <button
              type="button"
              class="plain round"
              aria-label={`Forget ${s.name}`}
              title="Forget"
              onClick={() => {
                forget(s.name);
                again();
              }}
            >
              <Icon name="close" />
            </button>
          </li>
        ))}
      </ul>
      <h3>Recent</h3>
      {recent().length === 0 && <p class="muted">None yet.</p>}
      <ul class="queries">
        {recent().map((p) => (
          <li key={p}>
            <QueryLink params={p} onPick={onPick} />
          </li>
        ))}
      </ul>
      {recent().length > 0 && (
        <p class="actions">
          <button
            type="button"
            onClick={() => {
              forgetRecent();
              again();
            }}
          >
            Forget recent queries
          </button>
        </p>
      )}
    </Dialog>
  );
}

const KEYS: [string, string][] = [
  ["/", "write a condition"],
  ["Enter", "in a field: run the query"],
  ["Esc", "cancel the running query"],
  ["[ and ]", "earlier, later"],
  ["-", "zoom out"],
  ["1, 2, 3", "table, conversations, hosts"],
  ["arrows", "in the table: from cell to cell; Enter: only this, Shift+Enter: all but this"],
  ["n", "names of addresses"],
  ["r", "ask again"],
  ["q", "saved and recent queries"],
  ["t", "light, dark, automatic"],
  ["?", "this help"],
];

export function HelpDialog({ version, onClose }: { version: string; onClose: () => void }) {
  return (
    <Dialog title="Help" onClose={onClose}>
      <h3>Conditions</h3>
      <p>
        An attribute, a comparison and a value, joined by <code>&amp;</code>, <code>|</code>, <code>!</code> and parentheses.
      </p>
      <ul class="examples">
        <li>
          <code>dport = 443 &amp; proto = tcp</code>
        </li>
        <li>
          <code>net = 10.0.0.0/8 &amp; !(host = 10.0.0.1 | dport &lt; 1024)</code>
        </li>
        <li>
          <code>dir = in &amp; proto = udp</code>
        </li>
      </ul>
      <h3>Results</h3>
      <p>Click a value to see only it; with Shift, to see all but it. The browser’s Back button undoes it. Drag across the plot to zoom in.</p>
      <p>“In” is what the host that saw a flow received, “out” what it sent. Times are yours; a query’s address works for everybody.</p>
      <h3>Keys</h3>
      <dl class="keys">
        {KEYS.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="muted">
        {version} · <a href="/docs">API</a> · <a href="/page/licenses.txt">libraries inside</a>
      </p>
    </Dialog>
  );
}
