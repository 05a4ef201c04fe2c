/* The blocks in the editor. Written for browsers as it is; the server renders what visitors see. */
(function () {
  'use strict';

  const { blocks, blockEditor, components, element, i18n } = window.wp;
  const { __, sprintf } = i18n;
  const { createElement: el, Fragment } = element;
  const { InnerBlocks, InspectorControls, useBlockProps, useInnerBlocksProps } = blockEditor;
  const { FormTokenField, PanelBody, RangeControl, SelectControl } = components;

  const PARTS = ['weft/segment-variant', 'weft/segment-default'];
  const TEMPLATE = [['weft/segment-variant'], ['weft/segment-default']];

  const save = () => el(InnerBlocks.Content);

  /* A part of the content: its label, and the blocks in it. */
  function Part({ label, placeholder }) {
    const props = useBlockProps({ className: 'weft-editor-part' });
    const inner = useInnerBlocksProps({}, { template: [['core/paragraph', { placeholder }]], templateLock: false });
    return el('div', props, el('p', { className: 'weft-editor-label' }, label), el('div', inner));
  }

  function variantLabel({ is, not }) {
    if (is.length === 0 && not.length === 0) {
      return __('For nobody yet: choose segments in the sidebar', 'weft');
    }
    const parts = [];
    if (is.length > 0) {
      /* translators: %s: keys of segments. */
      parts.push(sprintf(__('in %s', 'weft'), is.join(__(' or ', 'weft'))));
    }
    if (not.length > 0) {
      /* translators: %s: keys of segments. */
      parts.push(sprintf(__('not in %s', 'weft'), not.join(__(' or ', 'weft'))));
    }
    /* translators: %s: which visitors. */
    return sprintf(__('For visitors %s', 'weft'), parts.join(', '));
  }

  blocks.registerBlockType('weft/segment-content', {
    edit: function Edit({ attributes, setAttributes }) {
      const inner = useInnerBlocksProps(useBlockProps(), { allowedBlocks: PARTS, template: TEMPLATE });
      return el(
        Fragment,
        null,
        el(
          InspectorControls,
          null,
          el(
            PanelBody,
            { title: __('Weft', 'weft') },
            el(SelectControl, {
              label: __('Content is chosen', 'weft'),
              value: attributes.mode,
              options: [
                { value: '', label: __('As set for the site', 'weft') },
                { value: 'client', label: __('In the browser', 'weft') },
                { value: 'server', label: __('On the server', 'weft') },
              ],
              help: __("In the browser works with page caches; the page's source holds all variants.", 'weft'),
              onChange: (mode) => setAttributes({ mode }),
            }),
            el(RangeControl, {
              label: __('Height to keep free (pixels)', 'weft'),
              value: attributes.minHeight,
              min: 0,
              max: 1000,
              help: __('Where variants differ in height, that of the highest keeps the page from moving.', 'weft'),
              onChange: (minHeight) => setAttributes({ minHeight: minHeight || 0 }),
            }),
          ),
        ),
        el('div', inner),
      );
    },
    save,
  });

  blocks.registerBlockType('weft/segment-variant', {
    edit: function Edit({ attributes, setAttributes }) {
      const tokens = (name, label) =>
        el(FormTokenField, {
          label,
          value: attributes[name],
          tokenizeOnSpace: true,
          maxLength: 20,
          onChange: (keys) => setAttributes({ [name]: keys.map((key) => key.trim()).filter(Boolean) }),
        });
      return el(
        Fragment,
        null,
        el(
          InspectorControls,
          null,
          el(
            PanelBody,
            { title: __('Visitors', 'weft') },
            tokens('is', __('In one of these segments', 'weft')),
            tokens('not', __('In none of these', 'weft')),
          ),
        ),
        el(Part, { label: variantLabel(attributes), placeholder: __('What they see', 'weft') }),
      );
    },
    save,
  });

  blocks.registerBlockType('weft/segment-default', {
    edit: () =>
      el(Part, {
        label: __('For everybody else', 'weft'),
        placeholder: __('What everybody else sees', 'weft'),
      }),
    save,
  });
})();
