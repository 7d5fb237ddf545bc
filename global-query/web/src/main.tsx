import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./app";
import { theme } from "./store";

theme.apply(theme.get());
render(<App />, document.getElementById("app")!);
