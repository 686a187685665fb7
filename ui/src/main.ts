import { mount } from 'svelte'
import App from './App.svelte'
import { currentTheme, applyTheme } from './lib/theme'
import './styles/tokens.css'
import './styles/base.css'

applyTheme(currentTheme(new URLSearchParams(location.search).get('theme') ?? ''))
mount(App, { target: document.getElementById('app')! })
